"""The words processes say to each other.

Runs in: every process. Imports nothing of ours.
"""
