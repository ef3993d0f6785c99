"""From a snapshot to a verdict: facts, rules, questions, conditions and gates. Knows no cluster, database or ingest."""
