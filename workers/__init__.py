"""Code that lives only inside a child process: everything that may crash natively.

Runs in: worker. Model libraries are imported inside the functions that load them.
"""
