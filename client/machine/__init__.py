"""What this machine is and holds: its service, its logs, its packages, and the programs that keep models and queue.

Runs in: client. May import daemon and terminal.
"""
