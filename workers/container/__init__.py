"""The bytes of a recording: which containers stand in it, where each begins and ends.

Runs in: worker. May import recording.
"""
