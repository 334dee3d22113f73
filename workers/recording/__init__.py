"""The recording as the file system gives it: the way to it, held open, read and hashed.

Runs in: worker. Imports no other room.
"""
