"""`steno mcp`: the daemon's tools for agents, over the Model Context Protocol.

Runs in: a process that an agent's host starts. May import the daemon's client and the terminal's words.
"""
