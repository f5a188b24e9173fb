"""The documents, cut into what tests ask of them: links, headings, code, tables."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nats3.dev.nats3_server import Nats3Server
from nats3.dev.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("actors", "eventstore", "nats3")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^(?: {4}|\t).*$", re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """Without what is shown as it is."""
        return _INDENTED.sub("", _FENCE.sub("", self.text))

    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """What a `#...` may name: headings as forges spell them."""
        words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(self.prose))
        return {heading.strip().replace(" ", "-") for heading in words}

    def inline(self) -> list[str]:
        """What stands in backquotes."""
        return _INLINE.findall(self.prose)

    def blocks(self, language: str) -> list[str]:
        return [content for found, content in _FENCE.findall(self.text) if found == language]

    def table(self, *head: str) -> list[list[str]]:
        """The cells of the rows below this head."""
        start = self.text.index("| " + " | ".join(head) + " |")
        rows: list[list[str]] = []
        for line in self.text[start:].splitlines()[2:]:
            found = _ROW.fullmatch(line)
            if found is None:
                break
            rows.append([cell.strip() for cell in found[1].split(" | ")])
        return rows

    def shell_lines(self) -> Iterator[str]:
        """Lines of shell blocks, continued ones joined, texts handed to other programs left out."""
        for block in self.blocks("sh"):
            without = re.sub(r"<<'END'\n.*?\nEND$", "", block, flags=re.MULTILINE | re.DOTALL)
            yield from (line.strip() for line in without.replace("\\\n", " ").splitlines() if line.strip())


def pages() -> list[Page]:
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("compose/*.md")]
    return [Page(path) for path in sorted(found)]


def page(name: str) -> Page:
    return Page(ROOT / name)


def words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


@cache
def names_in(path: Path) -> frozenset[str]:
    """Every function, class and constant of a module, with `Class.method` and `Class.field`."""
    return frozenset(_walk(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _walk(body: list[ast.stmt], above: str) -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield above + name
            case ast.ClassDef(name=name):
                yield above + name
                yield from _walk(node.body, f"{above}{name}.")
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                yield above + name
            case _:
                pass


@cache
def all_names() -> frozenset[str]:
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return frozenset(name for path in modules for name in names_in(path))


def elsewhere(server: Nats3Server) -> Nats3Server:
    """Not on 8080, where another's nats3 may answer while this one still starts."""
    server.port = free_port()
    return server
