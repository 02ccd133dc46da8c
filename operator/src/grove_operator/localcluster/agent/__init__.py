"""The node agent: plays nodes and pods on a control plane that has none, and runs some containers for real."""
