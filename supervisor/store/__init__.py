"""What outlives the daemon: jobs, segments, follow-ups and speeds, in tables.

Runs in: supervisor. May import its own sqlite, disks and system.
"""
