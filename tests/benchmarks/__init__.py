"""What stenod is measured against, and how: `make bench`.

Runs in: the benchmark.
"""
