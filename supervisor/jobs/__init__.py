"""One job from its recording to its files, and whose turn it is.

Runs in: supervisor. May import progress, results, watch, worker and the rooms below them.
"""
