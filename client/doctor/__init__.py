"""`steno doctor`: one file a check, and what runs and shows them.

Runs in: client. May import machine, views, daemon and terminal.
"""
