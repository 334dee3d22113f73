"""The sandboxed child process that decodes one recording, and the worker's side of it.

Runs in: worker. May import audio, pcm, recording and sandbox.
"""
