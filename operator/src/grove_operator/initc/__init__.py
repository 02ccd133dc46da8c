"""`grove-initc`: the init container that holds a pod back until its predecessors are Ready.

Standard library only, and nothing of the other packages: its image is Python and these files.
"""
