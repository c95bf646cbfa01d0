"""The till software of a simulated terminal: sells things, and prints them on whatever it is told is its printer."""
