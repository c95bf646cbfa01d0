"""Receipt printers, one file each; found by name."""
