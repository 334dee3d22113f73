"""GET /metrics: the daemon's own views and counts, in Prometheus' format.

Runs in: supervisor. May import every room below the API's.
"""
