"""Many deployments measured side by side, on one machine or on a cluster."""
