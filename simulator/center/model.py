"""The records that the simulated service centre keeps."""

from dataclasses import dataclass, field
from typing import Any

from simulator.center import rules


@dataclass(eq=False)
class Artifact:
    """A file of a software module, in memory."""

    id: int
    filename: str
    data: bytes
    md5: str
    sha1: str
    sha256: str
    created_ms: int


@dataclass(eq=False)
class Module:
    """A software module; ``metadata`` maps a key to (value, visible to the target)."""

    id: int
    name: str
    version: str
    type: str
    created_ms: int
    description: str | None = None
    vendor: str | None = None
    locked: bool = False
    artifacts: dict[int, Artifact] = field(default_factory=dict)
    metadata: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def file(self, name: str) -> Artifact | None:
        """The artifact of that file name, whatever the case of its letters."""
        wanted = name.strip().casefold()
        return next((artifact for artifact in self.artifacts.values() if artifact.filename.casefold() == wanted), None)


@dataclass(eq=False)
class DistributionSet:
    """Modules that are deployed together."""

    id: int
    name: str
    version: str
    type: str
    created_ms: int
    description: str | None = None
    migration_step: bool = False
    locked: bool = False
    modules: dict[int, Module] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every mandatory module type is there; only a complete set can be assigned."""
        return rules.SET_TYPES[self.type][1] <= {module.type for module in self.modules.values()}


@dataclass(eq=False)
class Target:
    """One host, as the device management side knows it; times in unix milliseconds."""

    controller_id: str
    name: str
    token: str
    created_ms: int
    description: str | None = None
    address: str | None = None
    status: str = "unknown"
    attributes: dict[str, str] = field(default_factory=dict)
    attributes_wanted: bool = True
    assigned: DistributionSet | None = None
    installed: DistributionSet | None = None
    installed_ms: int | None = None
    polled_ms: int | None = None
    auto_confirm: dict[str, Any] | None = None
    made_by: str = "admin"


@dataclass(eq=False)
class Row:
    """One entry of an action's history; received = (wall unix seconds, monotonic seconds)."""

    id: int
    type: str
    timestamp_ms: int
    messages: list[str]
    code: int | None
    received: tuple[float, float]


@dataclass(eq=False)
class Action:
    """One deployment to one target; ``revision`` counts its changes and moves the ``c=`` of its link."""

    id: int
    target: Target
    ds: DistributionSet
    type: str
    created: tuple[float, float]
    status: str = "running"
    active: bool = True
    force_ms: int | None = None
    weight: int = rules.DEFAULT_WEIGHT
    window: dict[str, str] | None = None
    last_code: int | None = None
    revision: int = 1
    rows: list[Row] = field(default_factory=list)

    @property
    def cancelling(self) -> bool:
        """Cancelled, or on the way there."""
        return self.status in ("canceling", "canceled")

    @property
    def waiting(self) -> bool:
        """Waiting for somebody's confirmation."""
        return self.status == "wait_for_confirmation"

    def change(self, **values: Any) -> None:
        """Sets fields; a real change counts as one revision."""
        changed = {name: value for name, value in values.items() if getattr(self, name) != value}
        for name, value in changed.items():
            setattr(self, name, value)
        self.revision += bool(changed)

    def forced(self, now_ms: int) -> bool:
        """Forced, or its time for force has come."""
        return self.type == "forced" or (self.type == "timeforced" and now_ms >= (self.force_ms or 0))

    def handling(self, now_ms: int) -> tuple[str, str]:
        """(download, update) as DDI words."""
        if self.type == "timeforced":
            return rules.HANDLING["forced" if self.forced(now_ms) else "soft"]
        return rules.HANDLING[self.type]
