"""Rows with odd, broken and hostile recordings, and the sandbox that reads them."""
