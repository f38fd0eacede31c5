"""Dataclasses as schemas: what the annotations of one say as a JSON Schema, and how data becomes an instance.

Both come of one walk over the annotations, so that they cannot disagree. What is not understood is refused, by name,
when the schema is made. No other package is needed.
"""

from __future__ import annotations

import dataclasses
import itertools
import types
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

from extractor.data import Json
from extractor.errors import SchemaError
from extractor.text.durations import iso_length

Make = Callable[[Any], Any]

KEYWORDS = frozenset(
    "title description examples pattern format minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum "
    "multipleOf minItems maxItems uniqueItems".split()
)
"""What the `metadata` of a field may say beside keywords of ours (`x-...`); other packages use it as well."""

_LISTS = (list, Sequence, MutableSequence)
_SETS = (set, frozenset, Set)
_MAPS = (dict, Mapping, MutableMapping)


@dataclasses.dataclass(frozen=True, slots=True)
class Conversion:
    """A type as a schema, and what makes a value of the type of one that the schema accepts."""

    schema: dict[str, Json]
    make: Make


def _as_it_is(value: Json) -> Json:
    return value


def _timedelta(value: str) -> timedelta:
    """Return the length of an ISO 8601 text. Raise ValueError for months, which are no number of days."""
    months, seconds = iso_length(value) or (1, 0)
    if months or seconds > timedelta.max.total_seconds():
        raise ValueError("not a number of days, hours, minutes and seconds")
    return timedelta(seconds=float(seconds))


_SCALARS: Mapping[object, Conversion] = {
    str: Conversion({"type": "string"}, _as_it_is),
    int: Conversion({"type": "integer"}, int),
    float: Conversion({"type": "number"}, float),
    bool: Conversion({"type": "boolean"}, _as_it_is),
    Decimal: Conversion({"type": "number"}, lambda value: Decimal(str(value))),
    date: Conversion({"type": "string", "format": "date"}, date.fromisoformat),
    datetime: Conversion({"type": "string", "format": "date-time"}, datetime.fromisoformat),
    time: Conversion({"type": "string", "format": "time"}, time.fromisoformat),
    timedelta: Conversion({"type": "string", "format": "duration"}, _timedelta),
    type(None): Conversion({"type": "null"}, _as_it_is),
    None: Conversion({"type": "null"}, _as_it_is),
    Any: Conversion({}, _as_it_is),
    list: Conversion({"type": "array"}, _as_it_is),
    dict: Conversion({"type": "object"}, _as_it_is),
}
_CONSTRAINTS = ("pydantic", "annotated_types")
_PLAIN = (str, int, float, bool)
"""Types whose values JSON has: of several of them a value needs no choice."""


def convert(kind: type) -> Conversion:
    """Return a dataclass as a schema of an object, and what makes instances. Raise SchemaError for odd annotations."""
    return _Converter(kind).whole()


class _Converter:
    """Converts a dataclass and those that it refers to, each once: they may refer to each other."""

    def __init__(self, root: type) -> None:
        self._root = root
        self._pointers: dict[type, str] = {root: "#"}
        self._objects: dict[type, Conversion] = {}
        self._definitions: dict[str, Json] = {}

    def whole(self) -> Conversion:
        found = self._object(self._root)
        definitions = {"$defs": self._definitions} if self._definitions else {}
        return Conversion({**found.schema, **definitions}, found.make)

    def _object(self, kind: type) -> Conversion:
        try:
            hints = get_type_hints(kind, include_extras=True)
        except (NameError, TypeError) as error:
            raise SchemaError(f"The annotations of {kind.__name__} cannot be resolved: {error}.") from error
        members, required = {}, []
        for field in dataclasses.fields(kind):
            if field.init:
                members[field.name] = self._of(hints[field.name], f"{kind.__name__}.{field.name}")
                members[field.name].schema.update(_keywords(field.metadata))
                if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                    required.append(field.name)
        schema = {
            "title": kind.__name__,
            "type": "object",
            "properties": {name: each.schema for name, each in members.items()},
            "required": required,
        }

        def make(data: Mapping[str, Json]) -> object:
            return kind(**{name: each.make(data[name]) for name, each in members.items() if name in data})

        self._objects[kind] = Conversion(schema, make)
        return self._objects[kind]

    def _reference(self, kind: type) -> Conversion:
        """Return a dataclass inside of another; one that is being converted is made when a value comes."""
        if kind not in self._pointers:
            taken = {pointer.rpartition("/")[2] for pointer in self._pointers.values()}
            names = itertools.chain((kind.__name__,), (f"{kind.__name__}{count}" for count in itertools.count(2)))
            name = next(each for each in names if each not in taken)
            self._pointers[kind] = f"#/$defs/{name}"
            self._definitions[name] = self._object(kind).schema
        return Conversion({"$ref": self._pointers[kind]}, lambda data: self._objects[kind].make(data))

    def _of(self, hint: Any, where: str) -> Conversion:
        if (scalar := _scalar(hint)) is not None:
            return scalar
        if isinstance(hint, NewType):
            return self._of(hint.__supertype__, where)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self._reference(hint)
        if isinstance(hint, type) and issubclass(hint, Enum) and _are_plain(each.value for each in hint):
            return Conversion({"enum": [each.value for each in hint]}, hint)
        return self._generic(get_origin(hint), get_args(hint), where) or _refuse(hint, where)

    def _generic(self, origin: Any, arguments: tuple[Any, ...], where: str) -> Conversion | None:
        if origin is Annotated:
            inner = self._of(arguments[0], where)
            return Conversion({**inner.schema, **_annotations(arguments[1:], where)}, inner.make)
        if origin is Literal and _are_plain(arguments):
            return Conversion({"enum": list(arguments)}, _as_it_is)
        if origin in (Union, types.UnionType):
            return self._union(arguments, where)
        if origin in _LISTS or origin in _SETS or (origin is tuple and arguments[1:] == (...,)):
            return self._list(origin, arguments[0], where)
        if origin is tuple:
            return self._tuple([self._of(each, where) for each in arguments])
        if origin in _MAPS and arguments[0] is str:
            item = self._of(arguments[1], where)
            schema = {"type": "object", "additionalProperties": item.schema}
            return Conversion(schema, lambda data: {name: item.make(value) for name, value in data.items()})
        return None

    def _list(self, origin: Any, argument: Any, where: str) -> Conversion:
        item = self._of(argument, where)
        collect: Callable[[Any], object] = list if origin in _LISTS else tuple
        unique = {}
        if origin in _SETS:
            collect, unique = (frozenset if origin is frozenset else set), {"uniqueItems": True}
        schema = {"type": "array", "items": item.schema, **unique}
        return Conversion(schema, lambda data: collect(map(item.make, data)))

    def _tuple(self, items: Sequence[Conversion]) -> Conversion:
        count = len(items)
        schema = {"type": "array", "prefixItems": [each.schema for each in items], "minItems": count, "maxItems": count}
        return Conversion(schema, lambda data: tuple(each.make(value) for each, value in zip(items, data, strict=True)))

    def _union(self, arguments: tuple[Any, ...], where: str) -> Conversion:
        kinds = [each for each in arguments if each is not type(None)]
        options = [self._of(each, where) for each in kinds]
        if len(options) > 1 and not all(each in _PLAIN or get_origin(each) is Literal for each in kinds):
            _refuse(" | ".join(str(getattr(each, "__name__", each)) for each in kinds), where)
        nothing = [_SCALARS[None].schema] if len(kinds) < len(arguments) else []
        make = options[0].make if len(options) == 1 else _as_it_is
        schemas = [*(each.schema for each in options), *nothing]
        return Conversion({"anyOf": schemas}, lambda value: None if value is None else make(value))


def _scalar(hint: Any) -> Conversion | None:
    try:
        found = _SCALARS.get(hint)
    except TypeError:  # an annotation with a dict has no hash
        return None
    return found and Conversion(dict(found.schema), found.make)


def _are_plain(values: Iterable[object]) -> bool:
    """Tell whether JSON has all of some values."""
    return all(value is None or type(value) in _PLAIN for value in values)


def _annotations(metadata: Sequence[object], where: str) -> dict[str, Json]:
    """Return what annotations add: a text is the description, a mapping has keywords; others mean nothing here.

    Raise SchemaError for those of pydantic, which would be a constraint that nobody keeps.
    """
    found: dict[str, Json] = {}
    for each in metadata:
        if isinstance(each, str):
            found["description"] = each
        elif isinstance(each, Mapping):
            found.update(each)
        elif type(each).__module__.partition(".")[0] in _CONSTRAINTS:
            kind = type(each).__name__
            raise SchemaError(f"{where} has a {kind}, which a pydantic dataclass takes; here keywords are a dict.")
    return found


def _keywords(metadata: Mapping[Any, Any]) -> dict[str, Json]:
    return {key: value for key, value in metadata.items() if key in KEYWORDS or str(key).startswith("x-")}


def _refuse(hint: object, where: str) -> Conversion:
    known = "str, int, float, bool, Decimal, date, datetime, time, Enum, Literal, list, set, tuple, dict, X | None"
    raise SchemaError(
        f"{where} is a {hint}, which a dataclass cannot have here: use {known} or another dataclass, or make the class "
        "a pydantic model."
    )
