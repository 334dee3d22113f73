"""An untrusted recording as PCM: decodes and tries its tracks, and keeps an account of what was read.

Runs in: worker. May import container, pcm, speech and recording.
"""
