"""The parent: keeps two workers warm, and no recording is lost when they die.

Runs in: supervisor. Never imports a model library.
"""
