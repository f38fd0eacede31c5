"""The answer to a row while a person works on it: data, with the places of each value, and edits of it.

Data and places come and go as two maps, one keyed by JSON Pointer into the other. In between they are one tree whose
leaves know their places, so that items move with them. This module does not know what a schema allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from extractor.data import Json, Span
from extractor.text.json_pointer import escape_pointer, unescape_pointer

Tree = Any
"""Objects and lists as JSON has them, with a `Placed` for each scalar."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A scalar and where it stands; `about` is what the run said of it (`confidence`, `others`, `odd`)."""

    value: Json = None
    spans: tuple[Span, ...] = ()
    about: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """Data, and by pointer the places of its scalars and what the run said of them."""

    data: dict[str, Json]
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    about: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)

    def tree(self) -> Tree:
        """Return the data with everything at its leaves."""
        return self._planted(self.data, "")

    def _planted(self, value: Json, pointer: str) -> Tree:
        if isinstance(value, dict):
            return {key: self._planted(item, f"{pointer}/{escape_pointer(key)}") for key, item in value.items()}
        if isinstance(value, list):
            return [self._planted(item, f"{pointer}/{index}") for index, item in enumerate(value)]
        return Placed(value, self.spans.get(pointer, ()), self.about.get(pointer, {}))

    @classmethod
    def of(cls, tree: Tree) -> Draft:
        """Return what a tree holds."""
        leaves = dict(_leaves(tree, ""))
        spans = {pointer: leaf.spans for pointer, leaf in leaves.items() if leaf.spans}
        return cls(_plain(tree), spans, {pointer: leaf.about for pointer, leaf in leaves.items() if leaf.about})

    def placing(self, pointer: str, value: Placed) -> Draft:
        """Return the draft with a value at a pointer. Raise KeyError, IndexError for one that leads nowhere."""
        tree = self.tree()
        container, key = _parent(tree, pointer)
        container[key] = value
        return self.of(tree)

    def without(self, pointer: str) -> Draft:
        """Return the draft without an item of a list or an entry of an object."""
        tree = self.tree()
        container, key = _parent(tree, pointer)
        del container[key]
        return self.of(tree)

    def adding(self, pointer: str, blank: Json, name: str | None = None) -> tuple[Draft, str]:
        """Return the draft with one more item in the list, or entry in the object, at a pointer, and its pointer.

        What is null becomes the list or object; with nothing to add to it, an empty object.
        """
        tree = self.tree()
        container, key = _parent(tree, pointer)
        found = container[key] if isinstance(container, list) else container.get(key)
        if isinstance(found, list):
            found.append(_blank(blank))
            return self.of(tree), f"{pointer}/{len(found) - 1}"
        if name is None:
            container[key] = _blank(blank)
            return self.of(tree), f"{pointer}/0" if isinstance(blank, list) else pointer
        members = found if isinstance(found, dict) else {}
        container[key] = {**members, name: members.get(name, _blank(blank))}
        return self.of(tree), f"{pointer}/{escape_pointer(name)}"

    def tidied(self) -> Draft:
        """Return the draft without items and entries of lists in which nothing was filled in."""
        return self.of(_tidied(self.tree()))


def at(data: Json, pointer: str) -> Json:
    """Return the value at a pointer, None where there is none."""
    for part in parts(pointer):
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
            data = data[int(part)]
        else:
            return None
    return data


def parts(pointer: str) -> list[str]:
    """Return the names and indices of a JSON Pointer."""
    return [unescape_pointer(part) for part in pointer.split("/")[1:]]


def _parent(tree: Tree, pointer: str) -> tuple[Tree, Any]:
    *way, last = parts(pointer)
    for part in way:
        tree = tree[int(part) if isinstance(tree, list) else part]
    return (tree, int(last)) if isinstance(tree, list) else (tree, last)


def _leaves(tree: Tree, pointer: str) -> Iterator[tuple[str, Placed]]:
    if isinstance(tree, Placed):
        yield pointer, tree
        return
    for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield from _leaves(item, f"{pointer}/{escape_pointer(str(key))}")


def _plain(tree: Tree) -> Json:
    if isinstance(tree, Placed):
        return tree.value
    if isinstance(tree, dict):
        return {key: _plain(item) for key, item in tree.items()}
    return [_plain(item) for item in tree]


def _blank(blank: Json) -> Tree:
    """Return an empty object or list, a list of one that is blank, or null."""
    return [_blank(item) for item in blank] if isinstance(blank, list) else {} if blank == {} else Placed(blank)


def _tidied(tree: Tree) -> Tree:
    if isinstance(tree, dict):
        return {key: _tidied(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_tidied(item) for item in tree if any(leaf.value is not None for _, leaf in _leaves(item, ""))]
    return tree
