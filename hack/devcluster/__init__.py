"""A throw-away Kubernetes cluster of real parts, without a container engine or a registry.

Knows how to build, start, inspect and remove one. Must not know Akeso: nothing here imports `akeso`,
and only the standard library is used, because it runs before any virtual environment exists.
"""
