"""A process for one recording that can do nothing else, and the worker's side of it.

Runs in: worker. May import audio, pcm, recording and sandbox.
"""
