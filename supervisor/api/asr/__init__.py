"""The API of whisper-asr-webservice, as subtitle programs call it.

Runs in: supervisor. May import every room below the API's.
"""
