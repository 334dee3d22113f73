"""Rows in which the daemon itself is killed, stopped, started twice or kept running for a year."""
