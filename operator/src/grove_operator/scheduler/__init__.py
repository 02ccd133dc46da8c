"""WHERE pods should run: a pure function from a snapshot and gangs to a decision."""
