"""Receivers of the journal, one file each, each with its cursor."""
