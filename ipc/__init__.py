"""Messages between processes, and what every process does the same way: errors, failpoints, durable files.

Runs in: every process. Imports nothing of ours.
"""
