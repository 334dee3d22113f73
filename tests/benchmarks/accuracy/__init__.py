"""Rows about what is heard: word errors, missing speech, and the times of words."""
