"""The verbs of `steno`, a file for each family.

Runs in: client. May import every other room of the client.
"""
