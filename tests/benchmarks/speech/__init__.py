"""Speech to measure with: folders of recordings, and recordings of any length."""
