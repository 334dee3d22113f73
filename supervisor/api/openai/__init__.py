"""OpenAI's audio API: its fields, its formats, its stream, its models.

Runs in: supervisor. May import every room below the API's.
"""
