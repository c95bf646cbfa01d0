"""The simulated reader."""
