"""Recordings that come as the body of a request: received into a private folder, transcribed as jobs, deleted after.

Runs in: supervisor. May import every room below the API's.
"""
