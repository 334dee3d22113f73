"""`steno bench`: one recording through a daemon again and again, and the page that says how fast it went.

Runs in: client. May import daemon, views, machine and terminal.
"""
