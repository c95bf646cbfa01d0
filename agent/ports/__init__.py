"""Serial lines: the port, what to ask on it, and the thread that pumps it."""
