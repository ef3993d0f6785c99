"""Akeso beside a throw-away cluster, as the demo, the e2e tests and the benches run it. Standard library only."""
