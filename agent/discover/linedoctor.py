"""The line doctor inside the daemon: looks further at a line of ours that has gone bad, on that line's own thread.

Other programs on the port are looked for as soon as a line is noisy or an answer stays away, and again until they are gone.
A line that stays silent or garbled for SEARCH_AFTER_S is searched as ``posagent discover`` does, with the configured
protocol's question alone; every two seconds the search comes back to where the device should be, and it ends at once when
somebody wants the port. On a healthy line nothing is due, and nothing of the search is loaded.
"""

from collections.abc import Callable, Iterator, Mapping

from agent.observations import LineFinding, LineQuality, LinkChanged, LinkState, Observation
from agent.ports.holders import holders
from agent.ports.port import AdjustablePort
from protocols.connection import DeviceProtocol, LineSettings

SEARCH_AFTER_S = 10.0
SEARCH_EVERY_S = 600.0
LOOK_EVERY_S = 30.0
"""For other programs, while the line stays bad."""
BAD = (LinkState.SILENT, LinkState.GARBLED)
GOOD = (LinkState.UP, LinkState.BAUD_MISMATCH)
RIVALS = ("link.second_process", "link.modem_probe")
HEARD = ("link.echo", "link.half_duplex")
FORMAT = "link.parity_mismatch"


class LineDoctor:
    """One line's. Give it what the watch has seen (``heed``); when ``due``, let it ``examine``."""

    def __init__(self, path: str, find: Callable[[str], str], protocol: DeviceProtocol, baud: int | None) -> None:
        self._path = path
        self._find = find
        self._protocol = protocol
        line = protocol.line
        self._home = LineSettings(baud or line.baud, line.bytesize, line.parity, line.stopbits)
        self._bad = self._noisy = False
        self._look_at: float | None = None
        self._search_at: float | None = None
        self._looked = float("-inf")
        self._told: set[str] = set()

    def heed(self, seen: list[Observation], now: float) -> list[Observation]:
        """What the watch has seen; returns what is therefore no longer there."""
        gone: list[Observation] = []
        for one in seen:
            if isinstance(one, LinkChanged):
                self._bad = one.state in BAD
                if self._bad:
                    self._look_at, self._search_at = now, now + SEARCH_AFTER_S
                elif one.state in GOOD:
                    # A rival is not gone because an answer got through: the next look tells.
                    self._search_at = None
                    self._look_at = now + LOOK_EVERY_S if self._told.intersection(RIVALS) else None
                    gone += self._no_longer(HEARD)
                else:
                    self._look_at = self._search_at = None
                    gone += self._no_longer((*RIVALS, *HEARD, FORMAT))
            elif isinstance(one, LineQuality):
                self._noisy = one.noisy
                if one.noisy:
                    self._look_at = now
        return gone

    def doubt(self, now: float) -> None:
        """A question was not answered: somebody may have read the answer away."""
        if self._look_at is None and now >= self._looked + LOOK_EVERY_S:
            self._look_at = now

    def due(self) -> float | None:
        """When ``examine`` has something to look at; None on a healthy line."""
        return min((at for at in (self._look_at, self._search_at) if at is not None), default=None)

    def examine(
        self, port: object, now: Callable[[], float], stop: Callable[[], bool]
    ) -> tuple[list[Observation], LineSettings | None]:
        """Look at what is due. Returns what was found, and the settings at which the device answers, if it was searched for.

        Raises PortLostError. A port that was searched is left at those settings, or at the configured ones.
        """
        found: list[Observation] = []
        if self._look_at is not None and self._look_at <= now():
            found += self._rivals()
            self._looked = now()
            again = self._bad or self._noisy or self._told.intersection(RIVALS)
            self._look_at = self._looked + LOOK_EVERY_S if again else None
        if self._search_at is None or self._search_at > now() or not isinstance(port, AdjustablePort):
            return found, None
        heard, settings, whole = self._search(port, now, stop)
        if whole:
            found += heard
            self._search_at = now() + SEARCH_EVERY_S
        else:
            self._search_at = now() + SEARCH_AFTER_S
        port.set_line(settings or self._home)
        return found, settings

    def _search(
        self, port: AdjustablePort, now: Callable[[], float], stop: Callable[[], bool]
    ) -> tuple[list[Observation], LineSettings | None, bool]:
        from agent.discover.search import search
        from agent.discover.signs import about

        found = search(port, [self._protocol], now, self._home, stop)
        signs = {sign.fault: dict(sign.values) for sign in about(found, None, {}, matters=True)}
        settings = found.heard.settings if found.heard is not None else None
        # A protocol's own format is no mismatch, whatever it is.
        if settings is not None and (settings.bytesize, settings.parity) == (self._home.bytesize, self._home.parity):
            signs.pop(FORMAT, None)
        told = list(self._news((*HEARD, FORMAT), signs))
        return told, settings, settings is not None or not stop()

    def _rivals(self) -> list[Observation]:
        from agent.discover.place import PROBERS

        path = self._find(self._path)
        others = holders(path) if path.startswith("/") else []
        evidence = {"holders": ", ".join(map(str, others[:4]))}
        meddles = any(other.name in PROBERS for other in others)
        fault = RIVALS[1] if meddles else RIVALS[0]
        return list(self._news(RIVALS, {fault: evidence} if others else {}))

    def _news(self, about: tuple[str, ...], there: Mapping[str, Mapping[str, str]]) -> Iterator[Observation]:
        for fault in about:
            if fault in there:
                self._told.add(fault)
                yield LineFinding(fault, True, there[fault])
            elif fault in self._told:
                yield from self._no_longer((fault,))

    def _no_longer(self, faults: tuple[str, ...]) -> list[Observation]:
        over = [fault for fault in faults if fault in self._told]
        self._told.difference_update(over)
        return [LineFinding(fault, False) for fault in over]
