"""The demo: three incidents on a real cluster, told as they happen."""
