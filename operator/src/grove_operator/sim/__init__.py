"""The simulated edge: virtual time and an in-memory API server."""
