"""Decoded frames as one PCM file whose times are the player's: mixed, resampled, placed.

Runs in: worker. Imports no other room.
"""
