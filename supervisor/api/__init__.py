"""HTTP over the Unix socket: the socket, the endpoints, their errors and the use cases.

Runs in: supervisor. May import every room below it.
"""
