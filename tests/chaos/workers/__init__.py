"""Rows in which a worker, or the decoder it started, crashes, hangs or cannot start."""
