"""Watched folders: events and scans until a file has stopped changing.

Runs in: supervisor. May import disks and system.
"""
