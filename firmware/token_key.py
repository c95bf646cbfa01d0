"""A client's key that lies in a PKCS#11 token, for TLS. Nothing of this is loaded on a till whose key is a file.

Where a key's file would be, one line names the key in the token (RFC 7512), with the token's library and the file of its PIN:
``pkcs11:token=till;object=posagent-1;type=private?module-path=/usr/lib/…&pin-source=file:/etc/posagent/pin``.

Python's `ssl` opens files alone, so the key goes into its context through OpenSSL itself: the engine ``pkcs11`` (Debian:
libengine-pkcs11-openssl) makes an EVP_PKEY of it, SSL_CTX_use_PrivateKey takes it. The SSL_CTX is what a context of CPython
holds first (Modules/_ssl.c, PySSLContext); another Python is refused, and so is an OpenSSL that does not confirm what is known of
that very context.
"""

import _ssl
import ctypes
import ssl
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from urllib3.util.ssl_ import create_urllib3_context

from firmware.files import PKCS11

KNOWN = ((3, 11), (3, 12), (3, 13))
"""Pythons whose contexts are laid out so."""
MAX_BYTES = 4096


def read_uri(key: str | Path) -> str:
    """The line in a key's file. Raises OSError, ValueError."""
    with Path(key).open("r", encoding="ascii") as file:
        return file.read(MAX_BYTES).strip()


def attributes(uri: str) -> tuple[str, Mapping[str, str]]:
    """What names the key (``token=…;object=…``), and the query's attributes by name, as they stand."""
    path, _, query = uri.removeprefix(PKCS11).partition("?")
    return path, dict(parse_qsl(query, keep_blank_values=True))


def for_engine(uri: str) -> str:
    """The URI as the engine takes it: it does not know ``module-path`` (libp11 0.4.12)."""
    path, query = attributes(uri)
    pin = f"?pin-source={query['pin-source']}" if "pin-source" in query else ""
    return f"{PKCS11}{path}{pin}"


def context(chain: str, key: str) -> ssl.SSLContext:
    """A client's context with that certificate and the token's key; who verifies the server sets up the rest.

    Raises OSError, in one line, where token, library, PIN or engine are not there.
    """
    made = create_urllib3_context()
    library, inside = _library(), _inside(made)
    held = _private_key(library, read_uri(key))
    try:
        if not library.SSL_CTX_use_certificate_chain_file(inside, chain.encode()):
            raise OSError(f"the certificate {chain} cannot be used")
        if not (library.SSL_CTX_use_PrivateKey(inside, held) and library.SSL_CTX_check_private_key(inside)):
            raise OSError("the key in the token is not the certificate's")
    finally:
        library.EVP_PKEY_free(held)
        library.ERR_clear_error()
    return made


def _inside(made: ssl.SSLContext) -> int:
    if sys.implementation.name != "cpython" or sys.version_info[:2] not in KNOWN:
        raise OSError("this Python gives no way to use a key in a token")
    inside = ctypes.c_void_p.from_address(id(made) + object.__basicsize__).value
    if not inside or _library().SSL_CTX_get_options(inside) & 0xFFFFFFFF != int(made.options) & 0xFFFFFFFF:
        raise OSError("this Python gives no way to use a key in a token")
    return inside


def _private_key(library: Any, uri: str) -> int:
    _, query = attributes(uri)
    engine = _engine(query.get("module-path", ""))
    held: int | None = library.ENGINE_load_private_key(engine, for_engine(uri).encode(), None, None)
    if not held:
        library.ERR_clear_error()
        raise OSError("the key in the token cannot be used: is the token there, and its PIN right?")
    return held


@lru_cache(maxsize=1)
def _engine(module: str) -> int:
    """OpenSSL's engine with that library in it; it stays for as long as the process lives, as the library does."""
    library = _library()
    engine: int | None = library.ENGINE_by_id(b"pkcs11")
    if not engine:
        library.ERR_clear_error()
        raise OSError("OpenSSL's engine pkcs11 is not here: install libengine-pkcs11-openssl")
    ready = library.ENGINE_ctrl_cmd_string(engine, b"MODULE_PATH", module.encode(), 0) and library.ENGINE_init(engine)
    if not ready:
        library.ERR_clear_error()
        raise OSError(f"the token's library {module} cannot be loaded")
    return engine


@lru_cache(maxsize=1)
def _library() -> Any:
    """The OpenSSL that `ssl` itself uses: looked up through its module, never another copy."""
    library = ctypes.CDLL(_ssl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, given in (
        ("ENGINE_by_id", pointer, [text]),
        ("ENGINE_init", number, [pointer]),
        ("ENGINE_ctrl_cmd_string", number, [pointer, text, text, number]),
        ("ENGINE_load_private_key", pointer, [pointer, text, pointer, pointer]),
        ("EVP_PKEY_free", None, [pointer]),
        ("ERR_clear_error", None, []),
        ("SSL_CTX_get_options", ctypes.c_uint64, [pointer]),
        ("SSL_CTX_use_certificate_chain_file", number, [pointer, text]),
        ("SSL_CTX_use_PrivateKey", number, [pointer, pointer]),
        ("SSL_CTX_check_private_key", number, [pointer]),
    ):
        try:
            function = getattr(library, name)
        except AttributeError:
            raise OSError("this machine's OpenSSL has no engines") from None
        function.restype, function.argtypes = result, given
    return library
