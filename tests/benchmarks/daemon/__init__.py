"""Rows about the whole daemon: jobs, queue, restart and supervision, against a bare script and WhisperX."""
