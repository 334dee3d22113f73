"""PCM → chunks of speech: voice activity, loudness, noise reduction, language, and Whisper's input window.

Runs in: worker. May import pcm.
"""
