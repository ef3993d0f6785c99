"""From the outside world to values: webhook payloads, matching, targets, evidence, reconciliation.

Knows the shapes of Alertmanager, Prometheus and Kubernetes objects. Must not know how anything is decided, done or
stored: it reads through the ports and returns frozen values of the model.
"""
