"""The Wyoming protocol of Home Assistant: a listener of its own, with bounds in front of the library.

Runs in: supervisor. Off unless `wyoming.listen` is set. May import every room below the API's.
"""
