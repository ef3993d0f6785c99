"""Typed facts from a snapshot: pure functions over objects, events, series. Knows nothing of rules, actions or I/O."""
