"""What the service centre knows of hosts and software, and the rules for putting it in.

One re-entrant lock guards everything; a caller that needs several steps to be one holds ``Inventory.lock``.
Nothing survives the process (as hawkBit's default H2 database).
"""

import hashlib
import itertools
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping

from simulator.center import refusals, rules
from simulator.center.model import Artifact, DistributionSet, Module, Target
from simulator.center.web import CenterError

_ATTRIBUTE = re.compile(r"""[a-zA-Z0-9_\-!@#$%^&*()+=\[\]{}|;:'",.<>/\\?\s]*""", re.ASCII)


PLUG_AND_PLAY = "CONTROLLER_PLUG_AND_PLAY"
"""Who made a target that came by itself."""


class Inventory:
    """Targets, software modules with their files, and distribution sets.

    ``wall`` gives unix seconds, ``mono`` monotonic seconds.
    """

    def __init__(self, wall: Callable[[], float], mono: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.targets: dict[str, Target] = {}
        self.modules: dict[int, Module] = {}
        self.sets: dict[int, DistributionSet] = {}
        self._wall = wall
        self._mono = mono
        self.ids = {kind: itertools.count(1) for kind in ("module", "artifact", "set", "action", "row")}
        self._stored = 0

    def now_ms(self) -> int:
        """Wall clock in unix milliseconds."""
        return int(self._wall() * 1000)

    def stamp(self) -> tuple[float, float]:
        """Now, as (wall unix seconds, monotonic seconds)."""
        return self._wall(), self._mono()

    # Targets

    def target(self, controller_id: str) -> Target:
        """The target; 404 if unknown."""
        try:
            return self.targets[controller_id]
        except KeyError:
            raise refusals.not_found("Target", controller_id) from None

    def create_target(self, controller_id: str, **fields: str | None) -> Target:
        """A new target with a token of its own unless one is given; 409 if it exists."""
        with self.lock:
            if not 0 < len(controller_id) <= rules.MAX_CONTROLLER_ID or re.search(r"\s", controller_id):
                raise refusals.invalid("controllerId must be 1 to 256 characters without blanks")
            if controller_id in self.targets:
                raise refusals.conflict()
            token = fields.pop("token", None) or secrets.token_hex(16)
            name = fields.pop("name", None) or controller_id
            target = Target(controller_id, name, token, self.now_ms(), **fields)  # type: ignore[arg-type]
            self.targets[controller_id] = target
            return target

    def poll(self, controller_id: str, address: str) -> Target:
        """A device asks: found, or registered on its first question."""
        with self.lock:
            if controller_id not in self.targets:
                text = f"Plug and Play target: {controller_id}"
                self.create_target(controller_id, description=text, status="registered", made_by=PLUG_AND_PLAY)
            target = self.targets[controller_id]
            target.address = f"http://{address}"
            target.polled_ms = self.now_ms()
            if target.status == "unknown":
                target.status = "registered"
            return target

    def put_attributes(self, target: Target, mode: str, data: Mapping[str, str | None]) -> None:
        """merge, replace or remove; 400 for a key or value out of form, 429 beyond 100 of them."""
        texts = [*data, *(value for value in data.values() if value is not None)]
        if any(len(text) > rules.MAX_ATTRIBUTE or not _ATTRIBUTE.fullmatch(text) for text in texts) or "" in data:
            raise refusals.bad_attributes()
        with self.lock:
            kept = {} if mode == "replace" else dict(target.attributes)
            for key, value in data.items():
                if value is None or mode == "remove":
                    kept.pop(key, None)
                else:
                    kept[key] = value
            if len(kept) > rules.MAX_ATTRIBUTES:
                raise refusals.quota("Attribute", "Target", target.controller_id, rules.MAX_ATTRIBUTES)
            target.attributes = kept
            if mode != "remove":
                target.attributes_wanted = False

    # Software modules and distribution sets

    def module(self, module_id: int) -> Module:
        """The software module; 404 if unknown."""
        try:
            return self.modules[module_id]
        except KeyError:
            raise refusals.not_found("SoftwareModule", module_id) from None

    def create_module(
        self, name: str, version: str, kind: str, *, description: str | None = None, vendor: str | None = None
    ) -> Module:
        """A new software module; 404 for an unknown type, 409 for the same name, version and type."""
        with self.lock:
            if kind not in rules.MODULE_TYPES:
                raise refusals.not_found("SoftwareModuleType", kind)
            if any((m.name, m.version, m.type) == (name, version, kind) for m in self.modules.values()):
                raise refusals.conflict()
            module = Module(next(self.ids["module"]), name, version, kind, self.now_ms(), description, vendor)
            self.modules[module.id] = module
            return module

    def add_artifact(self, module: Module, filename: str, data: bytes, expected: Mapping[str, str]) -> Artifact:
        """Stores a file; 423 locked, 409 same name, 400 another checksum than ``expected`` says, 429 too much."""
        sums = {name: hashlib.new(name, data, usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256")}
        with self.lock:
            if module.locked:
                raise refusals.locked("JpaSoftwareModule", module.id, "ADD_ARTIFACT")
            if module.file(filename):
                raise refusals.conflict("File with that name already exists in the Software Module")
            if self._stored + len(data) > rules.MAX_STORAGE:
                text = "Storage quota will be exceeded if file is uploaded."
                raise CenterError(429, "hawkbit.server.error.quota.storageExceeded", text)
            for name, want in expected.items():
                if want and want.lower() != sums[name]:
                    raise refusals.wrong_checksum(name, want, sums[name])
            artifact = Artifact(next(self.ids["artifact"]), filename, data, created_ms=self.now_ms(), **sums)
            module.artifacts[artifact.id] = artifact
            self._stored += len(data)
            return artifact

    def remove_artifact(self, module: Module, artifact_id: int) -> None:
        """Forgets a file; 423 locked, 404 unknown."""
        with self.lock:
            if artifact_id not in module.artifacts:
                raise refusals.not_found("Artifact", artifact_id)
            if module.locked:
                raise refusals.locked("JpaSoftwareModule", module.id, "REMOVE_ARTIFACT")
            self._stored -= len(module.artifacts.pop(artifact_id).data)

    def distribution_set(self, set_id: int) -> DistributionSet:
        """The distribution set; 404 if unknown."""
        try:
            return self.sets[set_id]
        except KeyError:
            raise refusals.not_found("DistributionSet", set_id) from None

    def create_set(
        self, name: str, version: str, kind: str, modules: Iterable[int], *, migration_step: bool = False
    ) -> DistributionSet:
        """A new set; 404 unknown type or module, 409 same name and version, 400 a module that its type forbids."""
        with self.lock:
            if kind not in rules.SET_TYPES:
                raise refusals.not_found("DistributionSetType", kind)
            if any((other.name, other.version) == (name, version) for other in self.sets.values()):
                raise refusals.conflict()
            ds = DistributionSet(0, name, version, kind, self.now_ms(), migration_step=migration_step)
            self.add_modules(ds, modules)
            ds.id = next(self.ids["set"])
            self.sets[ds.id] = ds
            return ds

    def add_modules(self, ds: DistributionSet, modules: Iterable[int]) -> None:
        """Puts modules into a set; 423 once it was assigned."""
        with self.lock:
            found = [self.module(module_id) for module_id in modules]
            if ds.locked:
                raise refusals.locked("JpaDistributionSet", ds.id, "ADD_SOFTWARE_MODULE")
            if any(module.type not in rules.SET_TYPES[ds.type][2] for module in found):
                code = "hawkbit.server.error.distributionset.modules.unsupported"
                raise CenterError(400, code, "Distribution set type does not contain the given module")
            ds.modules |= {module.id: module for module in found}
