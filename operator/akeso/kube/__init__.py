"""The Kubernetes API server: connection, errors by status, reads, writes as somebody, Events.

Home of the `kubernetes` client. Knows raw JSON objects and HTTP. Must not know runs, plans, databases or models.
"""
