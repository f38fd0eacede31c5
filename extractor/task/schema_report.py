"""What is questionable about a schema that can be used, told before a run (`extractor schemas check`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from extractor.data import Normalization
from extractor.task.schema_node import SchemaNode
from extractor.task.schema_source import SchemaSource
from extractor.task.task import Field, Task
from extractor.text.json_pointer import escape_pointer


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about a field (a pointer) or the whole (empty): a short code, and one line for people."""

    pointer: str
    code: str
    message: str


def report(task: Task) -> list[Finding]:
    """Return what is questionable, field by field."""
    checks: tuple[Callable[[Task], Iterator[Finding]], ...] = (_unconstrained, _alike, _hard, _vague, _normalized)
    return [finding for check in checks for finding in check(task)]


def _unconstrained(task: Task) -> Iterator[Finding]:
    """Yield fields that the grammar holds to less than the schema says."""
    loose = task.grammar.loose
    for pointer in task.unconstrained:
        nodes = {f"/{escape_pointer(each.name)}": each.node for each in task.fields} | {"": task.compiled.root}
        words = {
            word for node in task.compiled.reachable(nodes[pointer].name) if node.name in loose for word in _words(node)
        }
        what = ", ".join(word if " " in word else f"`{word}`" for word in sorted(words))
        yield Finding(
            pointer,
            "unconstrained",
            f"the grammar leaves {what} to the validator: an answer may have to be retried",
        )


def _words(node: SchemaNode) -> Iterator[str]:
    yield from node.unexpressed
    if node.bounds.patterns:
        yield "pattern"
    if node.bounds.multiples:
        yield "multipleOf"
    if node.bounds.unique_items:
        yield "uniqueItems"
    inside = [kind for kind in node.kinds if kind in ("object", "array")]
    if inside and not node.unexpressed and not node.bounds.unique_items:
        yield f"what is in the {inside[-1]}"


def _alike(task: Task) -> Iterator[Finding]:
    """Yield fields whose names differ only in case, which databases take for one and models confuse."""
    groups: dict[str, list[Field]] = defaultdict(list)
    for each in task.fields:
        groups[each.name.casefold()].append(each)
    for several in groups.values():
        for other in several[1:]:
            message = (
                f"differs from {several[0].name!r} only in case: models confuse them, and SQL takes them for one column"
            )
            yield Finding(f"/{escape_pointer(other.name)}", "alike", message)


def _hard(task: Task) -> Iterator[Finding]:
    """Yield required fields that must be copied from the document: one that lacks them gives a partial row."""
    for each in task.fields:
        node = next(iter(task.compiled.options(each.node)))
        if (
            each.required
            and not node.nullable
            and node.kinds
            and node.ground == "verbatim"
            and node.kinds == ("string",)
        ):
            message = "is required and must be copied from the document: one that lacks it gives a partial row"
            yield Finding(f"/{escape_pointer(each.name)}", "required", message)


def _vague(task: Task) -> Iterator[Finding]:
    """Yield fields without a type, which may hold anything."""
    for each in task.fields:
        if each.node.is_anything:
            what = "has no type"
            if each.node.sources == (SchemaSource.anything,):
                what = "is required, and no property describes it (a slip of the pen?)"
            yield Finding(
                f"/{escape_pointer(each.name)}",
                "untyped",
                f'{what}: text, numbers, lists or objects will do; add "type"',
            )


FORMS: Mapping[Normalization, str] = {
    "date": "ISO 8601 dates",
    "number": "plain numbers",
    "money": "amounts in yuan",
    "phone": "E.164 phone numbers",
}


def _normalized(task: Task) -> Iterator[Finding]:
    """Yield fields whose values have another form beside them, and those that can have none."""
    for each in task.fields:
        nodes = [node for node in task.compiled.reachable(each.node.name) if node.annotations.normalize]
        for kind in dict.fromkeys(node.annotations.normalize for node in nodes):
            if kind:
                message = f"`normalized` has its values as {FORMS[kind]} as well, where the text leaves no doubt"
                yield Finding(f"/{escape_pointer(each.name)}", "normalized", message)
        if any(node.ground == "none" for node in nodes if node.kinds and not node.alternatives):
            what = "values that need not occur in the text (x-ground: none) are never normalized"
            yield Finding(f"/{escape_pointer(each.name)}", "normalized", what)
