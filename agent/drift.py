"""Is what was installed still what was installed? Asked at the start, after every deployment, and once a day.

A worker at the lowest priority reads the releases slowly; the daemon itself only waits for it. A release that differs by
one byte from what was unpacked becomes the host's fault ``host.release_drift``; it is cleared when all of them are right.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from firmware.child import Child
from firmware.effects import MachineEffects
from firmware.errors import FirmwareError
from firmware.state import Wanted

log = logging.getLogger(__name__)

FAULT = "host.release_drift"
EVERY_S = 24 * 3600.0
Evidence = Mapping[str, str]


class Drift:
    """``busy`` says whether a deployment is under way: then nothing is judged, its end asks again."""

    def __init__(
        self,
        effects: MachineEffects,
        busy: Callable[[], bool],
        tell: Callable[[Mapping[str, Evidence | None]], None],
        child: Child | None = None,
        ran: Callable[[str], bool] = lambda _component: False,
    ) -> None:
        """``child`` runs the looks, beside the steps of an update. ``tell`` takes the fault's id with its evidence, or with
        None when every release is right. ``ran`` knows whether a release of a component was ever committed here."""
        self._effects, self._busy, self._tell = effects, busy, tell
        self._child, self._ran = child or Child(), ran
        self._turn = threading.Lock()
        self._stopping = False

    def soon(self) -> None:
        """Look on a thread that ends with it."""
        threading.Thread(target=self.look, name="drift", daemon=True).start()

    def stop(self) -> None:
        """End the worker under way; none starts any more."""
        self._stopping = True
        self._child.stop()

    def look(self) -> None:
        """Check what runs of every component, one after the other, and tell. Two looks never run at once."""
        with self._turn:
            if self._busy() or self._stopping:
                return
            found: Evidence | None = None
            known = False
            for component in self._effects.components():
                seen = self._inspect(component)
                if seen is None:
                    continue
                known, found = True, found or (seen or None)
            if known and not self._busy() and not self._stopping:
                self._tell({FAULT: found})

    def _inspect(self, component: str) -> Evidence | None:
        """Evidence, empty when the release is right; None when that cannot be said."""
        try:
            version = self._effects.current(component)
            if version is None:
                return _pointer(component, "missing") if self._ran(component) else None
            found = self._effects.inspect(Wanted(component, version), self._child)
            if self._effects.current(component) != version:
                return None
        except FirmwareError as error:
            if error.code == "pointer_damaged":
                return _pointer(component, "changed")
            # Installed before lists were kept, or the daemon ends: no knowledge, so no fault and no all-clear.
            log.info("the files of %s are not checked: %s", component, error)
            return None
        if not found["drift"]:
            return {}
        counts = {word: str(found[word]) for word in ("changed", "missing", "extra")}
        return {"component": component, "version": version, **counts, "files": "; ".join(found["examples"])}


def _pointer(component: str, how: str) -> Evidence:
    """The link that names what runs is gone, or is no link any more: nothing of that component starts."""
    counts = {word: str(int(word == how)) for word in ("changed", "missing", "extra")}
    return {"component": component, **counts, "files": f"{how}: current"}
