"""How the simulated service centre misbehaves on request: statuses, wrong bodies, silence, slowness."""

import threading
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase

from simulator.center.web import Json, Reply, bad_body, json_reply

MODES = frozenset({"status", "html", "half", "cut", "hang", "slow"})
MAX_SECONDS = 600.0
MAX_FAILURES = 100
_PORTAL = b"<!DOCTYPE html><html><head><title>Login</title></head><body><h1>Welcome to the hotel</h1></body></html>"


@dataclass
class Failure:
    """One rule; the first that fits a request is used.

    ``mode``: ``status`` (answer ``status``, with ``retry_after`` seconds and ``error_code`` if given), ``html`` (200
    with a web page), ``half`` (half of the real body, the length agreeing), ``cut`` (the connection ends in the middle
    of the real body), ``hang`` (no answer for ``seconds``, then the end of the connection), ``slow`` (the real answer,
    spread over ``seconds``). ``half``, ``cut`` and ``slow`` carry the request out; the others do not.
    ``path`` is a pattern (``*``, ``?``), ``method`` a method or ``*``; after ``times`` uses the rule is spent.
    """

    mode: str
    path: str = "*"
    method: str = "*"
    status: int = 500
    retry_after: int | None = None
    error_code: str = ""
    seconds: float = 5.0
    times: int | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        """ValueError for a mode or number that does not exist, or a value of another type."""
        texts = (self.mode, self.path, self.method, self.error_code)
        numbers = (self.status, self.retry_after or 0, self.times or 0)
        typed = all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
        if not typed or type(self.seconds) not in (int, float) or self.mode not in MODES:
            raise ValueError(f"no such failure: {self}")
        if not 200 <= self.status <= 599 or not 0 <= self.seconds <= MAX_SECONDS:
            raise ValueError(f"no such failure: {self}")

    def reply(self) -> Reply:
        """The answer of the modes that carry nothing out (``status``, ``html``)."""
        if self.mode == "html":
            return Reply(200, _PORTAL, {"Content-Type": "text/html"})
        extra = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401 or not self.error_code:
            return Reply(self.status, headers=extra)
        reply = json_reply({"errorCode": self.error_code, "message": "simulated"}, self.status)
        reply.headers |= extra
        return reply


class Behaviour:
    """The rules in force; thread-safe, at most 100."""

    def __init__(self) -> None:
        self._failures: list[Failure] = []
        self._lock = threading.Lock()

    def add(self, mode: str, path: str = "*", **options: Json) -> Failure:
        """Adds a rule; see `Failure` for the options. ValueError for one that makes no sense."""
        failure = Failure(mode, path, **options)
        with self._lock:
            if len(self._failures) >= MAX_FAILURES:
                raise ValueError("too many failures at once")
            self._failures.append(failure)
        return failure

    def clear(self) -> None:
        """All is well again."""
        with self._lock:
            self._failures.clear()

    def pick(self, method: str, path: str) -> Failure | None:
        """The rule for this request, counted as used."""
        with self._lock:
            for failure in self._failures:
                fits = failure.method in ("*", method) and fnmatchcase(path, failure.path)
                if fits and (failure.times is None or failure.hits < failure.times):
                    failure.hits += 1
                    return failure
        return None

    def listed(self) -> list[dict[str, Json]]:
        """The rules with how often each was used."""
        with self._lock:
            return [asdict(failure) for failure in self._failures]

    def load(self, documents: Json) -> None:
        """Adds rules given as JSON objects; 400 for anything else."""
        if not isinstance(documents, list):
            raise bad_body()
        known = {item.name for item in fields(Failure)} - {"hits"}
        for document in documents:
            if not isinstance(document, dict) or not set(document) <= known or "mode" not in document:
                raise bad_body()
            try:
                self.add(**document)
            except (TypeError, ValueError):
                raise bad_body() from None
