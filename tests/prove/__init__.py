"""Full proofs: what an issue asks for in its full count, too long for every run. `make prove ISSUE=n` runs them.

Each `issue_<n>.py` has `proofs() -> list[Proof]`. The normal suite runs a small seeded sample of the same callables.
"""
