"""One worker kept alive: spawn, channel, states, deaths, restarts.

Runs in: supervisor. May import system and `workers.worker_main`, which it spawns.
"""
