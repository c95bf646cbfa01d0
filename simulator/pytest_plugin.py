"""pytest fixtures: a simulated till on ptys and a service centre on loopback, one or many.

`terminal`, `terminals`: tills with a printer and a card reader; `service_center`, `service_centers`: the centre.
Nothing but the standard library is loaded before a test asks for one of them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simulator.center.server import Center
    from simulator.printer.paper import Element
    from simulator.terminal import TerminalServer

STOP_TIMEOUT = 10.0
"""Seconds that a till may take to end."""


class SimulatedTerminal:
    """A till on ptys, served by a thread of this process; what a test does to it goes the way of `possim set`."""

    def __init__(self, server: TerminalServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.run, name=f"till {server.folder.name}", daemon=True)
        self._thread.start()

    @property
    def dir(self) -> Path:
        """The folder: what `possim … --dir` takes."""
        return self._server.folder

    @property
    def printer_path(self) -> Path:
        """The printer's port."""
        return self.dir / "printer"

    @property
    def reader_path(self) -> Path:
        """The card reader's port."""
        return self.dir / "reader"

    def set(self, key: str, value: object) -> None:
        """`possim set KEY VALUE`; when this returns the change is on the line."""
        self._call({"set": [key, str(value)]})

    def show(self) -> dict[str, Any]:
        """`possim show`."""
        truth: dict[str, Any] = self._call({"show": True})["show"]
        return truth

    def receipt(self) -> tuple[Element, ...]:
        """The elements of the last receipt; `receipt_text` and `draw_receipt` make something of them."""
        from simulator.printer.paper import from_json

        return from_json(self._call({"receipt": True})["receipt"])

    def receipt_text(self) -> str:
        """The text on the last receipt, line by line."""
        from simulator.printer.paper import plain_text

        return plain_text(self.receipt())

    def draw_receipt(self, path: Path) -> None:
        """`possim receipt --out`; needs Pillow."""
        from simulator.printer.receipt import draw

        draw(self.receipt()).save(path, format="PNG")

    def stop(self) -> None:
        """Take the till away, links and all."""
        self._server.stop()
        self._thread.join(STOP_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError(f"the simulated terminal in {self.dir} did not stop")

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        from simulator.control import call

        return call(self.dir, request)


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Callable[..., SimulatedTerminal]]:
    """A factory of tills: `terminals(printer="escpos", reader="ccid", baud=115200, seed=0, name=None, till=None)`."""
    from simulator.terminal import Kinds, TerminalServer

    numbers = itertools.count(1)
    with ExitStack() as running:

        def make(name: str | None = None, till: Path | None = None, **kinds: Any) -> SimulatedTerminal:
            folder = tmp_path / (name or f"till-{next(numbers)}")
            terminal = SimulatedTerminal(TerminalServer(folder, Kinds(**kinds), till))
            running.callback(terminal.stop)
            return terminal

        yield make


@pytest.fixture
def terminal(terminals: Callable[..., SimulatedTerminal]) -> SimulatedTerminal:
    """One till with a printer and a card reader."""
    return terminals()


@pytest.fixture
def service_centers(tmp_path: Path) -> Iterator[Callable[..., Center]]:
    """A factory of running service centres: `service_centers(name=None, port=0)`, with `tls=True` or `mutual=True` over TLS."""
    from simulator.center.server import Center

    numbers = itertools.count(1)
    with ExitStack() as running:

        def make(name: str | None = None, port: int = 0, **options: Any) -> Center:
            center = Center(tmp_path / (name or f"center-{next(numbers)}"), port, **options)
            center.start()
            running.callback(center.stop)
            return center

        yield make


@pytest.fixture
def service_center(service_centers: Callable[..., Center]) -> Center:
    """One running service centre."""
    return service_centers()
