"""HTTP over the Unix socket: the door, the endpoints, their errors and the use cases behind them.

Runs in: supervisor. May import every room below it.
"""
