"""The home of kopf: watches our custom resources and namespaces, and hands what it sees to the engine's catalogue.

Knows no decision and no database. Handlers are level-triggered, return nothing, add no finalizer and no annotation.
"""
