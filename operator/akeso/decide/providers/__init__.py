"""Wire formats of those who answer questions, nothing else. Must not know workflows, breakers, gates or clusters."""
