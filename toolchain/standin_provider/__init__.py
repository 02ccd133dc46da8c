"""A stand-in for Pulumi's official Kubernetes provider, for machines where that one can't be had.

It is attached by `PULUMI_DEBUG_PROVIDERS` only, talks to API servers on loopback only, and raises on whatever it
doesn't model (see README.md for the whole list). It must never be found on PATH or packed in a wheel.
"""

VERSION = "4.34.2+standin"
NOTICE = "kubernetes stand-in, not the official provider"
