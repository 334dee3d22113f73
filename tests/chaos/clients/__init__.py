"""Rows with broken clients, malformed requests, and other users of the machine."""
