"""Akeso closes the loop from a firing alert to a verified fix.

Data flows one way through four verbs: ingest -> decide -> act -> record. `engine` is the only part that knows
their order. Imports go down only; pyproject.toml lists the layers and import-linter enforces them.
"""
