"""What the owner of the machine may change.

Runs in: every process. Imports `ipc.vocabulary`, the words that both know, and nothing else of ours.
"""
