"""The ways out: proxy, names, connections, certificates, and whether the centre knows this host."""

from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, urlsplit

from agent import hostchecks
from agent.clock import Clock
from agent.config.model import Center, Config
from agent.doctor.finding import Finding, Outcome
from agent.reporting import center_transport
from firmware.errors import HttpStatusError, TransportError
from firmware.transport import Transport

TOPIC = "network"
LIMIT_S = 8.0
MAX_BYTES = 1 << 20
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_OUTCOMES = {"pass": Outcome.PASS, "fail": Outcome.FAIL, "skip": Outcome.SKIP, "unknown": Outcome.UNKNOWN}


Client = Callable[[], tuple[str, str] | None]
"""The certificate and key that the centre gave this host, as files."""


def look(config: Config, clock: Clock, environ: Mapping[str, str], client: Client) -> Iterator[Finding]:
    """Every address that the configuration names, then what stands behind it."""
    proxy = next((name for name in PROXIES if environ.get(name)), None)
    if proxy is not None:
        yield Finding(TOPIC, proxy, Outcome.WARN, "proxy_unused", {"name": proxy})
    for till in config.terminals:
        for host, port in till.money.acquirer:
            yield _way(f"{till.id}: {host}:{port}", f"{host}:{port}", config.center, clock)
    center = config.center
    if center is not None:
        for url, ask in ((center.ddi, _ddi), (center.otlp, _otlp)):
            if url:
                yield from _service(url, center, clock, lambda url=url, ask=ask: ask(config, center, url, client))  # type: ignore[misc]
    if config.update is not None and config.update.metadata:
        url = config.update.metadata
        yield from _service(url, center, clock, lambda: _metadata(center, url))


def _service(url: str, center: Center | None, clock: Clock, ask: Callable[[], Finding]) -> Iterator[Finding]:
    """The way to ``url`` first; only where that stands, a question to what is behind it."""
    parts = urlsplit(url)
    way = _way(f"{parts.scheme}://{parts.netloc}", f"{parts.scheme}://{parts.netloc}", center, clock)
    yield way
    if way.outcome is Outcome.PASS:
        yield ask()


def _way(subject: str, address: str, center: Center | None, clock: Clock) -> Finding:
    ca = center.ca if center is not None else None
    check = hostchecks.network(TOPIC, [address], clock.mono, ca=ca, timeout_s=LIMIT_S)
    return Finding(TOPIC, subject, _OUTCOMES[check.outcome], f"way_{check.text}", {"detail": check.detail})


def _ddi(config: Config, center: Center, url: str, client: Client) -> Finding:
    host = config.host.id
    address = f"{url.rstrip('/')}/{quote(host, safe='')}"

    def ask(transport: Transport) -> None:
        transport.get_json(address)

    statuses = {401: "token_wrong", 403: "token_wrong", 404: "host_unknown"}
    return _asked("DDI", url, center_transport(center, url, client), ask, {"host": host}, statuses)


def _otlp(config: Config, center: Center, url: str, client: Client) -> Finding:
    def ask(transport: Transport) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        transport.post_bytes(f"{url.rstrip('/')}/v1/logs", b'{"resourceLogs":[]}', headers)

    statuses = {401: "token_wrong", 403: "token_wrong"}
    return _asked("OTLP", url, center_transport(center, url, client), ask, {"host": config.host.id}, statuses)


def _metadata(center: Center | None, url: str) -> Finding:
    def ask(transport: Transport) -> None:
        transport.get_bytes(f"{url.rstrip('/')}/timestamp.json", MAX_BYTES)

    transport = Transport(ca=center.ca if center is not None else None, timeout_s=LIMIT_S)
    return _asked("TUF", url, transport, ask, {}, {404: "metadata_none"})


def _asked(
    name: str,
    url: str,
    transport: Transport,
    ask: Callable[[Transport], None],
    values: Mapping[str, str],
    statuses: Mapping[int, str],
) -> Finding:
    """One question; the centre's token goes only to the centre."""
    subject = f"{name} {url}"
    try:
        with transport:
            ask(transport)
    except HttpStatusError as error:
        code = statuses.get(error.status, "answer_odd")
        return Finding(TOPIC, subject, Outcome.FAIL, code, {**values, "name": name, "why": str(error)})
    except TransportError as error:
        return Finding(TOPIC, subject, Outcome.FAIL, "answer_odd", {**values, "name": name, "why": str(error)})
    return Finding(TOPIC, subject, Outcome.PASS, "answers", {**values, "name": name})
