"""What the configuration says of updates, in the words of the firmware side: for the daemon, the installer and a preview."""

from agent.config.model import Config
from agent.errors import ConfigError
from agent.paths import Paths
from firmware.effects import ComponentSettings, Settings


def settings_of(config: Config, paths: Paths) -> Settings:
    """What the firmware side is told of this till. The configuration must have an ``[update]``."""
    update, center = config.update, config.center
    if update is None:
        raise ConfigError("no [update] is configured", code="no_update_section")
    return Settings(
        state_dir=paths.trust_home,
        metadata_url=update.metadata or "",
        targets_url=update.targets or "",
        mirrors=update.mirrors,
        program_home=paths.program,
        trusted_root=update.trusted_root,
        components={n: ComponentSettings(c.handler, c.health_check, c.validate) for n, c in update.components.items()},
        host={
            "labels": update.labels,
            "terminals": tuple(dict.fromkeys((config.host.id, *(t.id for t in config.terminals)))),
            "hardware": (),
        },
        ca=center.ca if center is not None else None,
    )
