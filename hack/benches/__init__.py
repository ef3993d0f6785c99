"""The benches: the real operator beside a throw-away cluster, each figure next to the floor that it is compared with."""
