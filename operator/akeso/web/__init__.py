"""HTTP in: the webhook receiver, health and metrics.

Knows HTTP, and hands values on. Must not know what an alert leads to: routing, saving and measuring are given to it.
"""
