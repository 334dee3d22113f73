"""The database file: opened, checked, migrated, synced, one transaction at a time.

Runs in: supervisor. May import disks and system.
"""
