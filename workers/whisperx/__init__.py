"""The whisperx engine: transcriber on CTranslate2, aligner on wav2vec2.

Runs in: worker. May import models, speech, text and wav2vec2; never mlx.
"""
