"""WHAT should exist: pure functions from observed views to the complete desired state."""
