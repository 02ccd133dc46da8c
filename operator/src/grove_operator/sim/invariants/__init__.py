"""What must hold at every moment, judged from the API server's objects alone.

Nothing here imports the operator, the scheduler or their vocabulary: an oracle that shares code with what it judges
repeats its mistakes.
"""
