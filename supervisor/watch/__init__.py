"""Watched folders: events and scans, until a file has settled.

Runs in: supervisor. May import disks and system.
"""
