"""Which tills of this host a component serves, where several tills share one: never all of them are taken at once.

A component with ``tills`` in the configuration is the application of those tills: only they have to be idle for it. One
without serves the whole host and waits until every till is idle. One deployment runs at a time and ends with its
probation, so components of different tills go one after the other; a set that would take all tills in one step is refused.
"""

from collections.abc import Mapping, Sequence

from agent.config.model import Component

ALL_AT_ONCE = "it would take all tills of this host at once: push it till by till"


def tills_of(names: Sequence[str], components: Mapping[str, Component], all_tills: Sequence[str]) -> frozenset[str]:
    """The tills that an update of these components touches."""
    touched: set[str] = set()
    for name in names:
        known = components.get(name)
        touched |= set(known.tills if known is not None and known.tills else all_tills)
    return frozenset(touched)


def takes_all(names: Sequence[str], components: Mapping[str, Component], all_tills: Sequence[str]) -> bool:
    """Whether components that serve a part of the tills each would together take all of several."""
    parts = [name for name in names if name in components and components[name].tills]
    return len(parts) > 1 and len(all_tills) > 1 and tills_of(parts, components, all_tills) == frozenset(all_tills)
