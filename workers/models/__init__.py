"""Resolves a model's name to a verified folder on this machine.

Runs in: worker. Imports no other room.
"""
