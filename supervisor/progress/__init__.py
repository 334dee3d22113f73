"""Each job's progress, its estimated remaining time, and the event bus.

Runs in: supervisor. May import store, worker, disks and system.
"""
