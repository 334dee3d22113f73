"""What surrounds every engine: the worker's loop and its requests.

Runs in: worker. May import audio, decoder, models, speech and text.
"""
