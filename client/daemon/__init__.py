"""The client's end of the Unix socket: the connection, this shell's daemon, and a private one for one command.

Runs in: client. May import terminal.
"""
