"""The whole sandbox, driven from outside."""
