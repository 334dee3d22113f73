"""A wav2vec2 CTC network in torch, and the CTC path of a text through its scores.

Runs in: worker. May import models.
"""
