"""The decoder's sandbox: seccomp and Landlock on Linux, a sandbox profile on macOS.

Runs in: worker. Imports no other room.
"""
