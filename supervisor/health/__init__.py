"""Proofs that the daemon works: a canary through both workers, a self-check, and recent problems.

Runs in: supervisor. May import jobs, watch and the rooms below them.
"""
