"""How macOS starts the daemon and keeps it alive.

Runs in: the installer.
"""
