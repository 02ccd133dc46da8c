"""What would happen: plain manifests or a dump of a cluster in, the scheduler's decision out. Nothing is touched.

    manifests, dumps ──> documents ──> inputs ──> expansion ──> simulation ──> JSON, trees, exit code
                                       as live    as the operator    schedule(), the production solver
                                       objects    would

Everything here is pure: files are read and clusters listed by the layers above.
"""
