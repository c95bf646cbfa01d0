"""``posagent doctor``: why does it not work here? Looks at everything that posagent needs, changes nothing.

One file for each topic, each a few small functions that answer with findings and raise nothing. Works before anything is
configured and beside a running daemon; opens no port and writes no byte to a device.
"""
