"""What a host is, as its technician wrote it down (contract: architecture.md, section Configuration).

A device that is left out does not exist. Defaults that do not depend on other keys stand here and nowhere else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PRINTER_MODES = ("owned", "line", "passive")
READER_MODES = ("passive", "owned", "pcsc")
LANGUAGES = ("zh_CN", "en")
NEEDS = ("printer", "reader", "network", "clock")


@dataclass(frozen=True, slots=True)
class Host:
    """This machine; ``id`` is its identity at the service centre (hawkBit controllerId)."""

    id: str


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a till.

    ``kind`` is printer or reader; ``port`` a path, ``auto`` or a pyserial URL. ``baud`` is None where the file
    leaves it out: the protocol's own default then holds. ``mode`` is one of owned, line, passive, pcsc; ``name`` is
    the reader's at pcscd, or its beginning, where pcscd has several. ``firmware`` is the
    version that a reader should have, as it says it itself; None: any.
    """

    kind: str
    port: str
    protocol: str
    baud: int | None
    mode: str
    firmware: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Money:
    """What this till needs to take money; ``acquirer`` lists (host, port) pairs for the need ``network``."""

    needs: tuple[str, ...]
    acquirer: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Terminal:
    """One till with its own devices, verdict and faults."""

    id: str
    printer: Device | None
    reader: Device | None
    money: Money

    def devices(self) -> Iterator[Device]:
        """Give the devices that exist, printer first."""
        for device in (self.printer, self.reader):
            if device is not None:
                yield device


@dataclass(frozen=True, slots=True)
class Center:
    """Where the service centre is. Tokens stay out of ``repr`` so that no log can hold them."""

    ddi: str | None = None
    token: str | None = field(default=None, repr=False)
    gateway_token: str | None = field(default=None, repr=False)
    otlp: str | None = None
    ca: Path | None = None
    heartbeat_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How this host comes in at the centre by a one-time token.

    ``required``: without a certificate nothing is reported. ``sticks`` are folders (or patterns) where somebody mounts a stick
    that may hold the token. ``marks`` are files (or patterns) by which this machine is known again; () takes serial numbers
    and built-in network cards. ``key`` is where the key is made: ``file``, or a token as a pkcs11 URI (RFC 7512).
    """

    required: bool = True
    sticks: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    key: str = "file"


@dataclass(frozen=True, slots=True)
class Limits:
    """What posagent may use of this machine before it says so; workers of an update included.

    ``memory_mib`` resident, ``cpu_percent`` of one core over a minute, ``disk_mib`` of the state folder without releases,
    ``traffic_mib_per_day`` to and from the centre, updates apart.
    """

    memory_mib: float = 192.0
    cpu_percent: float = 50.0
    disk_mib: float = 512.0
    traffic_mib_per_day: float = 32.0


@dataclass(frozen=True, slots=True)
class Component:
    """One thing that updates replace. ``health_check`` is an argv, its program relative to the release; () is none.

    ``validate`` is an argv of the site's own that looks into a new version before it may run. ``tills`` are those that it serves,
    of several on this host; () is all.
    """

    handler: str = "app_slots"
    health_check: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()
    tills: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Where releases come from and whom they must be signed by.

    ``metadata`` and ``targets`` are both set or both None (then only ``update install FILE`` works); ``mirrors`` hold what lies
    below ``targets`` and are asked before it. Times are seconds:
    ``probation_s`` is how long a new version is watched, ``idle_s`` how long silence must last to prove an idle till.
    ``idle_check`` is the site's own argv: exit 0 idle, 1 busy, anything else unknown; empty means none. ``window`` is the
    time of day, local, in which updates begin (``22:00-06:00``); empty is always. ``notice_command`` is the site's argv that
    warns the merchant, with the warning as one more argument, ``notice_s`` before an update that cannot wait for proof.
    """

    metadata: str | None
    targets: str | None
    trusted_root: Path
    labels: tuple[str, ...] = ()
    components: Mapping[str, Component] = field(default_factory=dict)
    probation_s: float = 10.0
    idle_s: float = 3.0
    idle_check: tuple[str, ...] = ()
    window: str = ""
    mirrors: tuple[str, ...] = ()
    notice_command: tuple[str, ...] = ()
    notice_s: float = 60.0
    notice_lang: str = "zh_CN"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file; ``path`` is where it was read from, absolute."""

    host: Host
    terminals: tuple[Terminal, ...]
    center: Center | None
    update: Update | None
    path: Path
    enrolment: Enrolment | None = None
    limits: Limits = field(default_factory=Limits)
