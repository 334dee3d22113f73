"""What surrounds every engine: the worker's loop, its requests, its heap.

Runs in: worker. May import audio, decoder, models, speech and text.
"""
