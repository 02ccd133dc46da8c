"""A real Kubernetes control plane with fake GPU nodes, as child processes of one command."""
