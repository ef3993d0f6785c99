"""Knows the order of the verbs, and nobody else does: ingest -> decide -> act -> record.

`advance` is pure and says what comes next; the other modules make that one move and commit it. Nothing here parses a
wire format, speaks SQL or builds an HTTP request. `wiring` is the only place that builds things.
"""
