"""The other side of every wire, written from the vendors' tables and not from our codecs."""
