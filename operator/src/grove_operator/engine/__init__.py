"""The one loop: queue, cache, plan, executor and binder, against two ports (KubeApi, Clock)."""
