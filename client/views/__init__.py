"""Values as tables, pages and bars.

Runs in: client. May import daemon and terminal.
"""
