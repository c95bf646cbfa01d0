"""Errors of this package, by who is at fault.

ProtocolError
├── LocalProtocolError   we asked for something that the protocol does not allow
└── RemoteProtocolError  the peer sent something that it may not send
"""


class ProtocolError(Exception):
    """Base of every error that leaves this package."""


class LocalProtocolError(ProtocolError):
    """The caller is wrong: an unknown query, a full queue, a value out of range."""


class RemoteProtocolError(ProtocolError):
    """The peer is wrong; its bytes have been discarded and nothing of them was used."""
