"""What Whisper and an aligner wrote, made sound: times, repetitions, doubts, second looks.

Runs in: worker. May import speech.
"""
