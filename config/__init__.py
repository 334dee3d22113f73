"""What the owner of the machine may change.

Runs in: every process. Imports nothing of ours.
"""
