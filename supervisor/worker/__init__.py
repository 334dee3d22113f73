"""Keeps one worker process alive: spawn, channel, lifecycle states, deaths, restarts.

Runs in: supervisor. May import system and `workers.worker_main`, which it spawns.
"""
