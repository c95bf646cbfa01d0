"""Card readers, one file each; found by name."""
