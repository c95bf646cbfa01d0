"""Bytes to typed events and back, without I/O: no port, socket, thread, clock or log. Time comes in as ``now``."""
