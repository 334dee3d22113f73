"""Jobs handed over and followed to their end, for every verb that waits.

Runs in: client. May import views, daemon and terminal.
"""
