"""A JSON Schema as people write it, brought into one form: draft 2020-12, every reference a pointer into the schema.

Understood are draft 4 to 2020-12 and OpenAPI 3.0: `definitions`, tuples as a list of `items`, `dependencies`,
boolean `exclusiveMinimum`, `nullable`. References may be spelled in every legal way (percent-encoded, with characters
beyond ASCII, by `$anchor`, by `$id`, into arrays); none leads outside: nothing is ever fetched. This module does not
know what a keyword means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import quote, unquote, urldefrag, urljoin

import jsonschema
from jsonschema import Draft202012Validator, FormatChecker

from extractor.data import Json
from extractor.errors import SchemaError
from extractor.text.json_pointer import escape_pointer

DEEPEST = 150
"""Levels of a schema: deeper ones are refused, since whatever walks them would run out of stack."""

MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value is an object of schemas by name."""

LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLES = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
)
BESIDE_REFERENCE = (
    *("$ref", "$id", "id", "definitions", "$defs", "title", "description", "default", "nullable"),
    *("$schema", "$comment"),
)
"""What counts beside a reference where it stands alone by the rule, up to draft 7; so does what begins with `x-`."""

_ALONE = re.compile(r"json-schema\.org/draft-0[3-7]/")
_UNREAD = ("deprecated", "readOnly", "writeOnly", "examples")
"""Annotations that nothing here reads. They are left out, since people write there what no draft allows."""
_DROPPED = ("$id", "id", "$schema", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

Schema = Mapping[str, Json]

NOTHING: Schema = {"not": {}}
"""What `false` is."""


@dataclass(frozen=True)
class SchemaSource:
    """A schema in the one form. `document` is what the validator sees; `at` gives the schema at a pointer."""

    document: Schema
    by_pointer: Mapping[str, Schema] = field(repr=False)

    anything = "(anything)"
    """The pointer of a schema that says nothing, of what is asked for and never described; so is each one below it."""

    def at(self, pointer: str) -> Schema:
        return {} if self.is_anything(pointer) else self.by_pointer[pointer]

    def is_anything(self, pointer: str) -> bool:
        """Tell whether a pointer leads to nothing in the schema as it was written."""
        return pointer.startswith(self.anything)


def normalize(schema: Json) -> SchemaSource:
    """Bring a schema into the one form. Raise SchemaError for one that is not valid, or refers to what is not there."""
    if not isinstance(schema, Mapping):
        raise SchemaError(
            'A schema describes an object: {"type": "object", "properties": {"手机号": {"type": "string"}}}'
        )
    document = _Normalizer(schema).document
    try:
        Draft202012Validator.check_schema(cast(Json, document), format_checker=FormatChecker(formats=()))
    except jsonschema.SchemaError as error:
        where = "".join(f"/{escape_pointer(str(part))}" for part in error.absolute_path) or "the top"
        raise SchemaError(f"Not a valid JSON Schema (draft 2020-12), at {where}: {error.message}") from error
    except RecursionError as error:
        raise SchemaError("The schema is nested too deep to be checked.") from error
    return SchemaSource(document, dict(subschemas(document)))


def check_text(schema: Json) -> None:
    """Refuse lone surrogates: what holds one can be written neither by a model nor to a file."""
    try:
        json.dumps(schema, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SchemaError(f"The schema holds a lone surrogate ({error.object[error.start]!a}): take it out.") from error
    except RecursionError as error:
        raise SchemaError("The schema is nested too deep.") from error


def subschemas(schema: Json, pointer: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every schema inside a normalized one with its pointer; `true` is `{}` and `false` is `{"not": {}}`."""
    if isinstance(schema, bool):
        yield pointer, {} if schema else NOTHING
        return
    if not isinstance(schema, Mapping):
        return
    yield pointer, schema
    for path, sub in _inside(schema):
        yield from subschemas(sub, f"{pointer}{path}")


def _inside(schema: Schema) -> Iterator[tuple[str, Json]]:
    """Yield the schemas directly inside one, each with its pointer from there."""
    for keyword, value in schema.items():
        if keyword in MAPS and isinstance(value, Mapping):
            yield from ((f"/{keyword}/{escape_pointer(name)}", sub) for name, sub in value.items())
        elif keyword in LISTS and isinstance(value, list):
            yield from ((f"/{keyword}/{index}", sub) for index, sub in enumerate(value))
        elif keyword in SINGLES and isinstance(value, Mapping | bool):
            yield f"/{keyword}", value


@dataclass(frozen=True, slots=True)
class _Resource:
    """A schema with an identifier of its own: where it begins, and the address that references are relative to."""

    pointer: str
    base: str


class _Normalizer:
    """Rewrites a schema. Identifiers and anchors are collected first, since a reference may come before them.

    A reference may lead to where no keyword says that there is a schema, as `#/components/schemas/X` does: what it
    names is then taken over into `$defs`, under its pointer.
    """

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._alone = bool(_ALONE.search(str(root.get("$schema", ""))))
        self._resources: dict[str, str] = {}
        self._by_id: set[str] = set()  # resources named by the `id` of draft 4, which need not move references
        self._anchors: dict[tuple[str, str], str] = {}
        self._known: set[str] = set()  # pointers of what keywords say is a schema
        self._outside: dict[str, Json] = {}  # pointer -> what is referred to elsewhere, as it was written
        top = _Resource("", "")
        self._known.update(self._collect(root, "", top, 0))
        document = self._schema(root, "", top)
        self.document: Schema = self._with_definitions(document, self._own(root, "", top))

    def _with_definitions(self, document: Schema, top: _Resource) -> Schema:
        """Return the document with what was found outside of it, and what that refers to in turn."""
        definitions: dict[str, Json] = {}
        while found := list(self._outside.items())[len(definitions) :]:
            for pointer, schema in found:
                list(self._collect(schema, pointer, top, 0))
                definitions[pointer] = self._schema(schema, pointer, top)
        return {**document, "$defs": {**document.get("$defs", {}), **definitions}} if definitions else document

    def _collect(self, schema: Json, pointer: str, resource: _Resource, depth: int) -> Iterator[str]:
        """Note identifiers and anchors; yield the pointer of each schema."""
        if depth > DEEPEST:
            raise SchemaError(f"The schema is nested more than {DEEPEST} levels deep.")
        yield pointer
        if not isinstance(schema, Mapping):
            return
        resource = self._own(schema, pointer, resource)
        self._resources.setdefault(resource.base, resource.pointer)
        if "$id" not in schema and resource.pointer == pointer:
            self._by_id.add(pointer)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(keyword), str):
                self._anchors[resource.base, schema[keyword]] = pointer
        for path, sub in _inside(self._form(schema)):
            yield from self._collect(sub, pointer + path, resource, depth + 1)

    def _own(self, schema: Schema, pointer: str, resource: _Resource) -> _Resource:
        """Return the resource that a schema belongs to: its own where it has an identifier."""
        identifier = schema.get("$id", schema.get("id"))
        if not isinstance(identifier, str) or not identifier:
            return resource
        address, anchor = urldefrag(identifier)
        if anchor:
            self._anchors[resource.base, anchor] = pointer
        return _Resource(pointer, urljoin(resource.base, address)) if address else resource

    def _schema(self, schema: Json, pointer: str, resource: _Resource) -> Json:
        if not isinstance(schema, Mapping):
            return schema
        resource = self._own(schema, pointer, resource)
        changed: dict[str, Json] = {}
        for keyword, value in self._form(schema).items():
            if keyword in _UNREAD or (value is None and keyword in ("title", "description")):
                continue
            if keyword in _REFERENCES and isinstance(value, str):
                changed["$ref"] = self._reference(value, resource)
            elif keyword not in _DROPPED or not isinstance(value, str | bool | Mapping):
                changed[keyword] = self._value(keyword, value, pointer, resource)
        return changed

    def _form(self, schema: Schema) -> Schema:
        """Return a schema with its keywords in their form of today, of a reference without those that do not count."""
        if self._alone and isinstance(schema.get("$ref"), str):
            schema = {key: each for key, each in schema.items() if key in BESIDE_REFERENCE or key.startswith("x-")}
        return _modern(schema)

    def _value(self, keyword: str, value: Json, pointer: str, resource: _Resource) -> Json:
        below = f"{pointer}/{keyword}"
        if keyword in MAPS and isinstance(value, Mapping):
            return {name: self._schema(sub, f"{below}/{escape_pointer(name)}", resource) for name, sub in value.items()}
        if keyword in LISTS and isinstance(value, list):
            return [self._schema(sub, f"{below}/{index}", resource) for index, sub in enumerate(value)]
        return self._schema(value, below, resource) if keyword in SINGLES else value

    def _reference(self, reference: str, resource: _Resource) -> str:
        """Return a reference as a pointer into the whole. Raises SchemaError for one that leads outside, or nowhere."""
        address, fragment = urldefrag(urljoin(resource.base, reference) if resource.base else reference)
        fragment = unquote(fragment)
        if address not in self._resources:
            raise SchemaError(f"Remote reference {reference!r}: copy what it names under $defs; nothing is fetched.")
        if fragment and not fragment.startswith("/"):
            if (address, fragment) not in self._anchors:
                raise SchemaError(f"{reference!r} points to nothing in the schema.")
            return uri_of(self._place(self._anchors[address, fragment], "", reference))
        start = self._resources[address]
        try:
            return uri_of(self._place(start, fragment, reference))
        except SchemaError:
            if not (reference.startswith("#") and start in self._by_id):
                raise
            return uri_of(self._place("", fragment, reference))

    def _place(self, start: str, fragment: str, reference: str) -> str:
        """Follow a pointer through the schema as it was written; return where in the one form what it names is."""
        target, parts = self._root, [*start.split("/")[1:], *fragment.split("/")[1:]]
        found: list[str] = []
        for part in parts:
            name = part.replace("~1", "/").replace("~0", "~")
            target = _modern(target) if isinstance(target, Mapping) and _is_schema(target) else target
            if isinstance(target, list) and name.isdecimal() and int(name) < len(target):
                target = target[int(name)]
            elif isinstance(target, Mapping) and (name in target or _moved(name) in target):
                name = name if name in target else _moved(name)
                target = target[name]
            else:
                raise SchemaError(f"{reference!r} points to nothing in the schema.")
            found.append(escape_pointer(name))
        if not isinstance(target, Mapping | bool):
            raise SchemaError(f"{reference!r} points to what is not a schema.")
        pointer = "".join(f"/{part}" for part in found)
        if pointer in self._known:
            return pointer
        self._outside.setdefault(pointer, target)
        return f"/$defs/{escape_pointer(pointer)}"


def uri_of(pointer: str) -> str:
    """Return the reference (a fragment) that leads to a pointer."""
    return "#" + quote(pointer, safe="/~")


def pointer_of(reference: str) -> str:
    """Return the pointer that a normalized `$ref` is."""
    return unquote(reference.removeprefix("#"))


def _is_schema(target: Schema) -> bool:
    """Tell a schema from an object of schemas by name, as far as rewriting goes: it has a keyword that is rewritten."""
    return isinstance(target.get("items"), list) or "additionalItems" in target


def _moved(name: str) -> str:
    """Return where a keyword of an older draft went."""
    return {"items": "prefixItems", "additionalItems": "items"}.get(name, name)


def _modern(schema: Schema) -> Schema:
    """Return a schema with the keywords of older drafts and of OpenAPI in their form of today; its insides stay."""
    changed = dict(schema)
    if isinstance(changed.get("items"), list):
        changed["prefixItems"] = changed.pop("items")
        if "additionalItems" in changed:
            changed["items"] = changed.pop("additionalItems")
    elif "additionalItems" in changed:
        del changed["additionalItems"]  # without a tuple it means nothing
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(changed.get(exclusive), bool):
            excluded = changed.pop(exclusive)
            if excluded and bound in changed:
                changed[exclusive] = changed.pop(bound)
    if isinstance(changed.get("dependencies"), Mapping):
        _split_dependencies(changed)
    return _with_null(changed) if changed.pop("nullable", False) is True else changed


def _split_dependencies(changed: dict[str, Json]) -> None:
    for name, needed in changed.pop("dependencies").items():
        keyword = "dependentRequired" if isinstance(needed, list) else "dependentSchemas"
        changed[keyword] = {**changed.get(keyword, {}), name: needed}


def _with_null(schema: dict[str, Json]) -> dict[str, Json]:
    """Return a schema that takes null besides what it takes (`nullable` of OpenAPI 3.0)."""
    if "enum" in schema and isinstance(schema["enum"], list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("type"), str):
        schema["type"] = list(dict.fromkeys((schema["type"], "null")))
    elif not {"type", "enum"} & schema.keys():
        inner = {key: value for key, value in schema.items() if key not in ("title", "description")}
        outer = {key: value for key, value in schema.items() if key in ("title", "description")}
        return {**outer, "anyOf": [inner, {"type": "null"}]}
    return schema
