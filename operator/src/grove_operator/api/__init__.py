"""Vocabulary: kinds, names, labels, models, defaults, validation, CRDs and install manifests. No I/O."""
