"""What a decoder gives up before it reads: seccomp and Landlock on Linux, a sandbox profile on macOS.

Runs in: worker. Imports no other room.
"""
