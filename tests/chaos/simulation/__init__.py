"""A day of the real supervisor in virtual time: simulated workers, clock and troubles, and the verdict."""
