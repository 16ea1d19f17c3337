"""One decision a test: a record and what was seen in, the next record, actions and events out."""
