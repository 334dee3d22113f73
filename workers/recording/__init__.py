"""The recording as a file: the folder it is opened through, its open descriptor, reads and hash.

Runs in: worker. Imports no other room.
"""
