"""The benches: the real operator beside a throw-away cluster, each figure beside its floor."""
