"""`python -P -m stenod -m workers.model_manager`: models listed, pulled, checked and removed for `steno models`.

Runs in: worker. May import models.
"""
