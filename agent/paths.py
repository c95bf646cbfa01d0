"""Where everything lies on a terminal. One setting, ``--root`` or ``$POSAGENT_ROOT``, moves all of it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """The files under ``root`` (contract: architecture.md, section Files on the terminal)."""

    root: Path

    @property
    def config(self) -> Path:
        """``etc/posagent/agent.toml``."""
        return self.root / "etc/posagent/agent.toml"

    @property
    def state(self) -> Path:
        """``var/lib/posagent``: what must survive."""
        return self.root / "var/lib/posagent"

    @property
    def run(self) -> Path:
        """``run/posagent``: what a restart may lose."""
        return self.root / "run/posagent"

    @property
    def releases(self) -> Path:
        """One folder per component of the till; each belongs to who installs."""
        return self.state / "releases"

    @property
    def trust_home(self) -> Path:
        """Floor, trusted metadata, downloads, lists of files: the installer's folder where the package has made one."""
        installer = self.state / "installer"
        return installer if installer.is_dir() else self.state

    @property
    def installer_socket(self) -> Path:
        """Where the installer is asked (docs/decisions/0015)."""
        return self.root / "run/posagent-installer.sock"

    @property
    def program(self) -> Path:
        """posagent's own releases and the pointers to them."""
        return self.root / "opt/posagent"

    @property
    def starts(self) -> Path:
        """The launcher's count of starts."""
        return self.state / "starts"

    @property
    def lock(self) -> Path:
        """Held by the owner of the journal and of the deployment's state."""
        return self.state / "lock"

    @property
    def journal(self) -> Path:
        """The record."""
        return self.state / "journal.sqlite"

    @property
    def socket(self) -> Path:
        """The owner's control socket."""
        return self.run / "control.sock"

    @property
    def statistics(self) -> Path:
        """Counters that must not start anew with the daemon."""
        return self.state / "statistics.json"
