"""How macOS starts the daemon and keeps it alive; on Linux, how systemd does.

Runs in: the installer.
"""
