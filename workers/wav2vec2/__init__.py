"""wav2vec2 with a letter head in torch, and the CTC path of a text through it.

Runs in: worker. May import models.
"""
