"""The output of Whisper and aligners, checked and repaired: times, repetition loops, doubtful text, second passes.

Runs in: worker. May import speech.
"""
