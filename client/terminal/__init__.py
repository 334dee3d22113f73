"""What the command shares with any other: output, keys, exit codes, words for codes.

Runs in: client. Imports no other room.
"""
