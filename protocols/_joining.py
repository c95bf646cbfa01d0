"""Events in order, with counts of neighbours joined: a minute of garbage costs one event per call, not one per byte."""

from protocols.events import Discarded, Event, Garbage, LateAnswer

COUNTS = (Garbage, LateAnswer, Discarded)


def add(events: list[Event], event: Event) -> None:
    """Append ``event``; a count is added to its like, of which a run of counts at the end holds one of each kind."""
    if isinstance(event, COUNTS):
        for index in range(len(events) - 1, max(-1, len(events) - 3), -1):
            earlier = events[index]
            if not isinstance(earlier, COUNTS):
                break
            if type(earlier) is type(event):
                events[index] = type(event)(earlier.count + event.count)
                return
    events.append(event)
