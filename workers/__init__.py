"""Code that runs only in child processes: everything that may crash natively.

Runs in: worker. Model libraries are imported inside the functions that load them.
"""
