"""Acting: the registry of actions, the one write with its preconditions, breakers, and the RBAC that actions need.

Knows plans, intents and the ports of the cluster. Must not know runs' order, evidence gathering, deciding or storing.
"""
