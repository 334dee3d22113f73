"""What follows a job: its recording is moved to `done` or `failed`, its hooks run, from a transactional outbox.

Runs in: supervisor. May import jobs and the rooms below it.
"""
