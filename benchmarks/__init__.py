"""A benchmark of transports and peers that anyone can run again: `python -m benchmarks --help`."""
