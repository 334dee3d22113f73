"""Foreign disks: every touch has a deadline, and no name leads to another file than the one that was meant.

Runs in: supervisor. May import system.
"""
