"""Figures of speed and cost: `make bench` prints one a line and writes bench/results.json."""
