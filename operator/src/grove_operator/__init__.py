"""The Grove API in Python: reconciliation, gang scheduling and a local cluster to run them on."""

__version__ = "0.1.0"
