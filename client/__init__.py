"""What a person types and sees: the `steno` command.

Runs in: the user's shell. Reaches everything else through the socket.
"""
