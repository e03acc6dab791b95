"""What does a YAML file say, and on which line?

A small and strict part of YAML: one document of mappings, lists, text, numbers, true, false and null. What two
readers could take for two things (`no`, `012`, anchors, tags, a key given twice) is refused with the way out.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from governance.problems import MAX_PROBLEMS, Path, Problem, dotted, shown

MAX_DEPTH = 20
MAX_NODES = 5_000

_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*)?\.?[0-9][0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*\.")
_ODD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|0[xXoObB][0-9A-Fa-f_]+|\.(inf|Inf|INF)|\.(nan|NaN|NAN))")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TRUTHY = {"yes", "no", "on", "off", "y", "n"}


@dataclass
class Document:
    """What a file says. `lines` knows every value by its place; with `problems` the value is not whole."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict[Path, int])
    problems: list[Problem] = field(default_factory=list[Problem])


class _Unreadable(Exception):
    """Reading on would make no sense; carries the last problem."""

    def __init__(self, line: int, text: str, path: Path = ()) -> None:
        self.line, self.text, self.path = line, text, path
        super().__init__(text)


def hidden(text: str) -> str | None:
    """The first character a reader cannot see (control, direction, zero width), as `U+202E`, or None."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return None
    for char in text:
        if char not in "\n\t" and unicodedata.category(char) in (
            "Cc",
            "Cf",
            "Cs",
            "Co",
            "Zl",
            "Zp",
        ):
            return f"U+{ord(char):04X}"
    return None


def parse(text: str, file: str) -> Document:
    """The file's one document, with every problem found up to where reading had to end."""
    document = Document()
    reader = _Reader(file, document)
    try:
        reader.check_characters(text)
        document.value = reader.read(text)
    except _Unreadable as end:
        document.problems.append(Problem(file, end.line, dotted(end.path), end.text))
    return document


class _Reader:
    """Turns parser events into values, so that nothing is built before it is known to be allowed."""

    def __init__(self, file: str, document: Document) -> None:
        self.file, self.document, self.nodes = file, document, 0

    def check_characters(self, text: str) -> None:
        if found := hidden(text):
            at = next(n for n, line in enumerate(text.split("\n"), 1) if hidden(line))
            raise _Unreadable(at, f"holds the invisible character {found}; remove it")

    def read(self, text: str) -> Any:
        # libyaml is 20 times faster than PyYAML's own scanner and gives the same events.
        events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        value: Any = None
        documents = 0
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise _Unreadable(
                            _line(event), "holds more than one document; make it two files"
                        )
                elif isinstance(event, yaml.NodeEvent):
                    value = self._node(event, events, ())
        except yaml.YAMLError as error:
            raise _Unreadable(*_syntax(error)) from None
        return value

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Any:
        self._admit(event, path)
        self.document.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event, path)

    def _admit(self, event: yaml.Event, path: Path) -> None:
        line = _line(event)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _Unreadable(line, f"holds more than {MAX_NODES:,} values; split it")
        if len(path) > MAX_DEPTH:
            raise _Unreadable(line, f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            raise _Unreadable(line, "uses an alias (*name); write the value out", path)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            raise _Unreadable(line, "uses an anchor (&name); write the value out", path)
        if event.tag is not None:
            raise _Unreadable(line, f"uses a tag ({shown(event.tag)}); write plain values", path)

    def _mapping(self, events: Iterator[yaml.Event], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key, line = self._key(event, path), _line(event)
            inner = (*path, key)
            if key in found:
                first = self.document.lines[inner]
                self._problem(line, inner, f"stands twice, first on line {first:,}")
            self.document.lines.setdefault(inner, line)
            found[key] = self._node(next(events), events, inner)
        return found

    def _key(self, event: yaml.Event, path: Path) -> str:
        self._admit(event, path)
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise _Unreadable(line, "has a key that is not text", path)
        if found := hidden(event.value):
            raise _Unreadable(line, f"has a key with the invisible character {found}", path)
        if event.value == "<<" and not event.style:
            raise _Unreadable(line, "merges a mapping (<<); write the fields out", path)
        if not isinstance(self._scalar(event, path), str):
            self._problem(line, path, f"key {shown(event.value)} is not text; put it in quotes")
        return event.value

    def _sequence(self, events: Iterator[yaml.Event], path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            found.append(self._node(event, events, (*path, len(found))))
        return found

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Any:
        text, line = event.value, _line(event)
        if found := hidden(text):
            self._problem(line, path, f"holds the invisible character {found}; remove it")
            return ""
        if event.style:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if text.lower() in _TRUTHY:
            other = "put it in quotes if you mean the word, or write true or false"
            self._problem(
                line, path, f"{text!r} is a truth value to some and a word to others; {other}"
            )
            return text
        return self._number(text, line, path)

    def _number(self, text: str, line: int, path: Path) -> Any:
        if _ODD_NUMBER.fullmatch(text):
            self._problem(
                line,
                path,
                f"{shown(text)} is a number that is easily misread; write it in decimal, or in quotes",
            )
        elif len(text) > 30 and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
            self._problem(
                line, path, f"is a number of {len(text):,} characters; at most 30 are allowed"
            )
        elif _INT.fullmatch(text):
            return int(text.replace("_", ""))
        elif _FLOAT.fullmatch(text):
            number = float(text.replace("_", ""))
            if number in (float("inf"), float("-inf")):
                self._problem(line, path, f"{shown(text)} is too big for a number")
                return text
            return number
        return text

    def _problem(self, line: int, path: Path, text: str) -> None:
        self.document.problems.append(Problem(self.file, line, dotted(path), text))
        if len(self.document.problems) >= MAX_PROBLEMS:
            raise _Unreadable(line, f"and more: reading ended after {MAX_PROBLEMS} problems")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1


def _syntax(error: yaml.YAMLError) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or "cannot be read"
    return (mark.line + 1 if mark else 1), f"is not YAML: {said}"
