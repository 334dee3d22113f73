"""Decoded frames → one PCM file with the times of a player: mixed, resampled and placed.

Runs in: worker. Imports no other room.
"""
