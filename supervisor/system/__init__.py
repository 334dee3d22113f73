"""The process and the operating system: lock, signals, threads, deadlines, sleep.

Runs in: supervisor. Imports no other room.
"""
