"""An untrusted recording as PCM: its tracks decoded and tried, and an account of what was read.

Runs in: worker. May import container, pcm, speech and recording.
"""
