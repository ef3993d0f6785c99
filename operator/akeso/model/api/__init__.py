"""The custom resources: their shape, limits and CEL rules, as pydantic models. The CRDs are generated from them.

Knows the API as people write it. Knows nothing of a cluster, a client, or what the operator does with a spec.
"""
