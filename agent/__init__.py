"""The daemon beside the till, and its commands: the only package that opens ports, starts threads and reads clocks."""

__version__ = "0.1.0"
