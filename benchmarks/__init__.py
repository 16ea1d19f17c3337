"""Figures with their baseline, in one run. Each file is a benchmark with `run() -> list[Row]`;
`python -m benchmarks [NAME…]`."""
