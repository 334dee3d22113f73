"""A transcript as files: formats, names, and writes that never replace a user's own file.

Runs in: supervisor. May import store, disks and system.
"""
