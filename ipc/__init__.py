"""The words processes say to each other, and what all of them do alike: refuse, stop at a failpoint, write a file.

Runs in: every process. Imports nothing of ours.
"""
