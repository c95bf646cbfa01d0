"""On which line of a TOML text does a key stand?

``tomllib`` does not tell. This scanner reads only texts that tomllib has accepted, so it may trust their grammar
(TOML 1.0.0): it knows tables, arrays of tables, dotted and quoted keys, the four kinds of strings, arrays and inline
tables.
"""

import re

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]+")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"""{1,3}(?!")', re.DOTALL),
    re.compile(r"'''.*?'''{1,3}(?!')", re.DOTALL),
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"'[^']*'"),
)


def key_lines(source: str) -> dict[Path, int]:
    """Map every key path of ``source`` to its line (from 1); array items are numbers: ``("terminal", 0, "printer")``.

    A table's own path stands for its header. ``source`` must have passed ``tomllib.loads``.
    """
    scan = _Scan(source.replace("\r\n", "\n"))
    scan.document()
    return scan.lines


class _Scan:
    """One pass over one text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._line, self._counted_to = 1, 0
        self._counts: dict[Path, int] = {}

    def document(self) -> None:
        """Read statements to the end of the text."""
        table: Path = ()
        self._skip(_BLANK)
        while self.at < len(self.source):
            if self.source.startswith("[[", self.at):
                table = self._header(2)
            elif self._next() == "[":
                table = self._header(1)
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self, brackets: int) -> Path:
        start = self.at
        self.at += brackets
        parts = self._dotted()
        self.at += brackets
        path: Path = ()
        for part in parts[:-1]:
            path = self._inside((*path, part))
            self._note(path, start)
        path = (*path, parts[-1])
        if brackets == 2:
            self._counts[path] = self._counts.get(path, 0) + 1
            self._note(path, start)
            path = (*path, self._counts[path] - 1)
        else:
            path = self._inside(path)
        self._note(path, start)
        return path

    def _inside(self, path: Path) -> Path:
        """A header that passes through an array of tables means its newest item (TOML 1.0.0, Array of Tables)."""
        count = self._counts.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: Path) -> None:
        start = self.at
        path = table
        for part in self._dotted():
            path = (*path, part)
            self._note(path, start)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self._next()
        if opening == "[":
            self._items(path, "]")
        elif opening == "{":
            self._items(path, "}")
        elif opening in "\"'":
            self._string()
        else:
            self._skip(_SCALAR)

    def _items(self, path: Path, closing: str) -> None:
        """Read the inside of an array or an inline table, its brackets included."""
        self.at += 1
        index = 0
        self._skip(_BLANK)
        while self._next() != closing:
            if closing == "}":
                self._pair(path)
            else:
                self._note((*path, index), self.at)
                self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._next() == ",":
                self.at += 1
                self._skip(_BLANK)
        self.at += 1

    def _dotted(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            if self._next() in "\"'":
                quoted = self._string()
                parts.append(_unquoted(quoted))
            else:
                parts.append(self._skip(_BARE))
            self._skip(_SPACE)
            if self._next() != ".":
                return parts
            self.at += 1

    def _string(self) -> str:
        for kind in _STRINGS:
            match = kind.match(self.source, self.at)
            if match:
                self.at = match.end()
                return match.group()
        raise AssertionError("tomllib accepted a string that is none")

    def _next(self) -> str:
        return self.source[self.at]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.source, self.at)
        text = match.group() if match else ""
        self.at += len(text)
        return text

    def _note(self, path: Path, position: int) -> None:
        # Positions never go back, so that each line end is counted once.
        self._line += self.source.count("\n", self._counted_to, position)
        self._counted_to = position
        self.lines.setdefault(path, self._line)


def _unquoted(quoted: str) -> str:
    import tomllib  # a quoted key is rare, and its escapes are tomllib's business

    return str(tomllib.loads(f"k = {quoted}")["k"])
