"""The worker shell around every engine: its loop and its requests.

Runs in: worker. May import audio, decoder, models, speech and text.
"""
