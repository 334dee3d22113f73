"""The one name that stenod has among installed packages; our six packages lie below it, out of everybody's way.

Runs in: every process that is started by name. Holds nothing: `__main__` does the work.
"""
