"""The catalogue of actions: one action, one file, one test file; `catalogue.ACTIONS` is the entry point.

Knows the sdk, the nouns and the errors. Must not know clients, the database, settings or the time: all is handed in.
"""
