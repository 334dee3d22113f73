"""What comes after a job: its recording moved to `done` or `failed`, its hooks run, from an outbox.

Runs in: supervisor. May import jobs and the rooms below it.
"""
