"""PCM as chunks of speech: voice, loudness, room noise, language, and the window that Whisper is shown.

Runs in: worker. May import pcm.
"""
