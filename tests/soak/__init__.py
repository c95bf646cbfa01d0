"""Twenty minutes of a shop's worst day: real programs, thirty updates, random trouble, and a judge at the end."""
