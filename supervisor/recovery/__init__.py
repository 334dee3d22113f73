"""The queue examined, copied, restored and fixed, and what a killed daemon left.

Runs in: supervisor. May import jobs and the rooms below it.
"""
