"""``posagent discover``: which serial ports are there, whose are they, and what answers on them.

The system is asked first (names, drivers, holders, rights), the line last and only where it is free: by the one question of
each protocol that harms nobody. What is known of a port that the daemon has comes from the daemon. Nothing prints, nothing
is configured, and a port that somebody holds gets no byte.
"""
