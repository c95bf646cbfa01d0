"""Static files of the TUF repository: ``DIR/repository/metadata`` and ``DIR/repository/targets``."""

import os
import stat
from pathlib import Path
from urllib.parse import unquote

from simulator.center.web import CenterError, Reply, Request, file_headers, parse_ranges

PREFIX = "/repository/"
AREAS = frozenset({"metadata", "targets"})


class Files:
    """Serves what lies in the folder now; it may appear, and be replaced, while the centre runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def handle(self, request: Request) -> Reply | None:
        """The file (whole, or one range of it), 404, or None for another path."""
        if not request.path.startswith(PREFIX):
            return None
        if request.method not in ("GET", "HEAD"):
            return Reply(405, headers={"Allow": "GET,HEAD"})
        path = self._inside([unquote(part) for part in request.path.removeprefix(PREFIX).split("/")])
        return self._serve(request, path) if path else Reply(404)

    def _inside(self, parts: list[str]) -> Path | None:
        """The path, if it stays in its area: no empty, dotted or separated part, and no link that leads out."""
        if len(parts) < 2 or parts[0] not in AREAS:
            return None
        if any(part in ("", ".", "..") or set(part) & set("/\\\0") for part in parts):
            return None
        try:
            root = (self._folder / parts[0]).resolve(strict=True)
            path = root.joinpath(*parts[1:]).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return path if path.is_relative_to(root) else None

    @staticmethod
    def _serve(request: Request, path: Path) -> Reply:
        try:
            file = path.open("rb") if path.is_file() else None
        except OSError:
            file = None
        if file is None:
            return Reply(404)
        status = os.fstat(file.fileno())
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        headers = file_headers(etag, status.st_mtime)
        reply = Reply(200, headers=headers, file=file, length=status.st_size)
        if not stat.S_ISREG(status.st_mode):
            reply.status, reply.length = 404, 0
        elif etag in request.headers.get("if-none-match", ""):
            reply.status, reply.length = 304, 0
        else:
            _narrow(request, reply, etag, status)
        return reply


def _narrow(request: Request, reply: Reply, etag: str, status: os.stat_result) -> None:
    """One range: 206. Several: the whole file, as a server may. None satisfiable: 416."""
    try:
        ranges = parse_ranges(request, etag, status.st_mtime, status.st_size)
    except CenterError:
        reply.status, reply.length = 416, 0
        reply.headers["Content-Range"] = f"bytes */{status.st_size}"
        return
    if ranges and len(ranges) == 1:
        first, last = ranges[0]
        reply.status, reply.offset, reply.length = 206, first, last - first + 1
        reply.headers["Content-Range"] = f"bytes {first}-{last}/{status.st_size}"
