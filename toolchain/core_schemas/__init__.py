"""Generator of the embedded Kubernetes schemas; see __main__."""
