"""Rows about the queue: how recordings arrive, wait and are cancelled, against a model and on clocks that jump."""
