"""The mlx engine: transcriber and aligner on mlx-whisper.

Runs in: worker. May import models, speech and text; never whisperx or torch.
"""
