"""What the operating system gives one process: its lock, signals, threads, deadlines, sleep.

Runs in: supervisor. Imports no other room.
"""
