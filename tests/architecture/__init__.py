"""Rules about the repository itself, each held by a test. Not here: anything about what the product
does."""
