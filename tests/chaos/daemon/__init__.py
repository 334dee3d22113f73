"""The daemon under attack: a real one with stub engines, its oracle, and the ledger of its clients."""
