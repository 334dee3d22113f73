"""Foreign disks: every access has a deadline, and no name can be redirected to another file.

Runs in: supervisor. May import system.
"""
