"""What `make bench` measures: latency of a fault, and what the idle daemon costs. Every figure is taken in the run."""
