"""Check, repair, backup and restore of the queue, and cleanup after a killed daemon.

Runs in: supervisor. May import jobs and the rooms below it.
"""
