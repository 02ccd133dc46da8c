"""The real edge: HTTP client, watches, kopf handlers, webhooks, metrics and leases."""
