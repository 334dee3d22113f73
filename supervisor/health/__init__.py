"""Proofs that the daemon works: a canary through both workers, its own examination, and what went wrong lately.

Runs in: supervisor. May import jobs, watch and the rooms below them.
"""
