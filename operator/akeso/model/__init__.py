"""The nouns: frozen values without I/O. Knows nothing of Kubernetes clients, databases or HTTP."""
