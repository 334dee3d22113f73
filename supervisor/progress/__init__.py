"""How far each job is, how long it will take, and who listens.

Runs in: supervisor. May import store, worker, disks and system.
"""
