"""The bytes of a recording: which containers it consists of, and where each begins and ends.

Runs in: worker. May import recording.
"""
