"""The fakes and builders that the product ships, for its own tests and for those of people who write actions.

Knows every layer below. Nothing below may import it.
"""
