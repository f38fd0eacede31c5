"""References between values of one answer (`x-ref`): the subject of a relation names an entity.

A target is a JSON Pointer into the data with `*` for any item of a list: `/实体/*/名称`. A value refers to whatever is
equal to it there. One that is equal to nothing is dangling.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from extractor.data import Json
from extractor.task.task import Task
from extractor.text.json_pointer import ANY_ITEM, steps
from extractor.text.meaning import exact


def dangling(task: Task, data: Mapping[str, Json]) -> dict[str, str]:
    """Return the pointers of the values that refer to nothing, each with its target."""
    named: dict[str, frozenset[Hashable]] = {}
    found: dict[str, str] = {}
    for leaf in task.leaves(data):
        target = leaf.node.annotations.ref
        if target is None or leaf.value is None:
            continue
        if target not in named:
            named[target] = frozenset(map(exact, _values(data, steps(target))))
        if exact(leaf.value) not in named[target]:
            found[leaf.pointer] = target
    return found


def _values(data: Json, path: Sequence[str]) -> Iterator[Json]:
    """Yield the scalars that a target stands for, null apart."""
    if not path:
        if data is not None and not isinstance(data, Mapping | list):
            yield data
    elif isinstance(data, list) and path[0] == ANY_ITEM:
        for item in data:
            yield from _values(item, path[1:])
    elif isinstance(data, Mapping):
        yield from _values(data.get(path[0]), path[1:])
