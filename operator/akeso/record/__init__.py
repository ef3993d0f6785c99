"""The ledger: signals, runs, steps, intents, evidence and story in Postgres; metrics and logs.

Home of psycopg and prometheus-client. Knows how to keep and find things again, and that every write may have to be
repeated after a lost reply. Must not know what a run does next, what Kubernetes is, or who asks.
"""
