"""The command line, `akeso` and `kubectl-akeso`: translates, prints, and decides nothing.

Imports nothing heavy at the top of a module: `akeso --help` must answer within 200 ms, so each command imports what it
needs when it runs.
"""
