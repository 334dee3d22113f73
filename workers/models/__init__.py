"""A model's name as a verified folder on this machine.

Runs in: worker. Imports no other room.
"""
