"""The queue examined, copied, restored and mended, and what a killed daemon left.

Runs in: supervisor. May import jobs and the rooms below it.
"""
