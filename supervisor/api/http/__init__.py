"""The TCP listener for other programs: where it listens, and which requests it admits.

Runs in: supervisor. Off unless `http.listen` is set. May import every room below the API's.
"""
