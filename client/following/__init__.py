"""Jobs submitted and followed until they finish, for every verb that waits.

Runs in: client. May import views, daemon and terminal.
"""
