"""A transcript as files: formats, names, and writing that replaces no file of another.

Runs in: supervisor. May import store, disks and system.
"""
