"""A task is a schema and a prompt, both checked when it is loaded, so that a run never fails on them later.

The schema is a JSON Schema (draft 2020-12) of an object; each property is an entity type. Keywords of ours are
annotations and begin with `x-`. Remote references are refused, never fetched. This module does not know how a prompt
is rendered (`prompting`) nor how an answer is confined to the schema (`engine`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import referencing
from jsonschema import Draft202012Validator

from extractor.data import Ground, Json, Ungrounded
from extractor.errors import SchemaError
from extractor.task.bundled import PROMPTS, SCHEMAS
from extractor.task.examples import Example
from extractor.task.json_pointer import escape_pointer
from extractor.task.schema_check import check_schema, lookup, subschemas
from extractor.task.validation_messages import message

Schema = Mapping[str, Json]

_DATES = ("date", "date-time", "time")
_PASSED_ON = ("x-ungrounded",)
_OF_THE_WHOLE = frozenset(
    "required dependentRequired dependentSchemas if then else allOf anyOf oneOf not unevaluatedProperties "
    "minProperties minItems contains minContains".split()
)
"""Keywords that a part of a document, or some of the fields, may break though the whole keeps them."""
_DEEPEST_PART = 4
_DEFINITIONS = ("$defs", "definitions")
_ROOT = "whole"


@dataclass(frozen=True, slots=True)
class Field:
    """One entity type: a property of the schema, with references resolved."""

    name: str
    schema: Schema
    required: bool

    @property
    def title(self) -> str:
        return str(self.schema.get("title", ""))

    @property
    def description(self) -> str:
        return str(self.schema.get("description", ""))

    @property
    def type(self) -> str:
        """The JSON type that is asked for; `null` beside it goes without saying."""
        return value_type(self.schema)

    @property
    def sensitive(self) -> bool:
        return bool(self.schema.get("x-sensitive", False))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value inside data that is neither object nor array: where it is (JSON Pointer) and the schema it answers to."""

    pointer: str
    value: Json
    schema: Schema

    @property
    def ground(self) -> Ground:
        return ground_of(self.schema)

    @property
    def sensitive(self) -> bool:
        return bool(self.schema.get("x-sensitive", False))

    @property
    def ungrounded(self) -> Ungrounded | None:
        """What the schema says is to be done with the value where it stands nowhere."""
        return cast(Ungrounded | None, self.schema.get("x-ungrounded"))


@dataclass(frozen=True)
class Task:
    """What to extract (`schema`) and how to ask for it (`template`, a Jinja2 source, with `examples` to show).

    `origin` is the task of which this one is a part, if it is one.
    """

    name: str
    schema: Schema
    prompt: str
    template: str
    examples: tuple[Example, ...] = field(default=())
    origin: Task | None = None

    def __post_init__(self) -> None:
        if self.origin is None:  # a part of a schema that was checked needs no check
            check_schema(self.schema)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        required = self.schema.get("required", [])
        properties: Mapping[str, Schema] = self.schema["properties"]
        return tuple(Field(name, self.resolve(sub), name in required) for name, sub in properties.items())

    @property
    def whole(self) -> Task:
        """The task that has the last word on the data."""
        return self.origin.whole if self.origin else self

    def as_part(self) -> Task:
        """Return the task for a part of a document: what must hold for the whole is not asked of a part."""
        return self if self.origin else self.part([field.name for field in self.fields])

    def part(self, names: Collection[str]) -> Task:
        """The task of some of the fields, or of all in a part of a document: what holds only for the whole (`required`,
        `minItems`, conditions between fields) is left for the whole to check."""
        kept = {name: sub for name, sub in self.schema["properties"].items() if name in names}
        own = {key: value for key, value in self.schema.items() if key not in (*_OF_THE_WHOLE, *_DEFINITIONS, "$id")}
        properties = {name: self._part(sub) for name, sub in kept.items()}
        schema = {**own, "properties": properties, **self._definitions(properties)}
        examples = tuple(example.part(names) for example in self.examples)
        return replace(self, schema=_rerooted(schema), examples=examples, origin=self)

    def _part(self, schema: Json, depth: int = 0) -> Json:
        """What an object or a list must be in a part of a document; anything else must be what it must be anywhere."""
        sub = self.resolve(schema)
        if depth > _DEEPEST_PART or not ("properties" in sub or value_type(sub) == "array"):
            return schema
        members = {name: self._part(member, depth + 1) for name, member in sub.get("properties", {}).items()}
        own = {key: value for key, value in sub.items() if key not in _OF_THE_WHOLE}
        return {**own, "properties": members} if members else own

    def _definitions(self, properties: Json) -> dict[str, Json]:
        """What references may lead to; the whole schema among it where one leads outside the definitions."""
        found = {key: self.schema[key] for key in _DEFINITIONS if key in self.schema}
        references = [str(sub["$ref"]) for sub in subschemas([properties, found]) if "$ref" in sub]
        if all(_is_definition(reference) for reference in references):
            return found
        whole = {key: value for key, value in self.schema.items() if key not in (*_DEFINITIONS, "$id", "$schema")}
        return {**found, "$defs": {**found.get("$defs", {}), _ROOT: whole}}

    @cached_property
    def settings(self) -> dict[str, str]:
        """What of the task can change a result, for the fingerprint: names of parts to their digests."""
        return {
            "schema": digest(json.dumps(self.schema, ensure_ascii=False)),
            "prompt": digest(self.template),
            "examples": digest(json.dumps([[each.text, each.data] for each in self.examples], ensure_ascii=False)),
        }

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(
            cast(Json, self.schema),
            registry=referencing.Registry(),
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        )

    def resolve(self, schema: Json) -> Schema:
        """Follow local references; siblings of a `$ref` override what it points to. `true` resolves to `{}`."""
        seen: set[str] = set()
        while isinstance(schema, Mapping) and "$ref" in schema:
            reference = str(schema["$ref"])
            if reference in seen:
                raise SchemaError(f"{reference} refers to itself")
            seen.add(reference)
            siblings = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**lookup(self.schema, reference), **siblings}
        return schema if isinstance(schema, Mapping) else {}

    def validate(self, data: Json) -> tuple[str, ...]:
        """Messages of what the schema has against `data`; empty when it is accepted.

        A null of an optional property counts as absent. Messages name fields and rules, never values.
        """
        errors = self._validator.iter_errors(self.without_nulls(data))
        return tuple(sorted({message(error) for error in errors}))

    def accepts(self, schema: Schema, value: Json) -> bool:
        """Whether a part of the schema accepts a value, on the terms of `validate`."""
        return self._validator.evolve(schema=schema).is_valid(_without_nulls(value, schema, self))

    def without_nulls(self, data: Json) -> Json:
        """`data` without the optional properties that are null, at every depth."""
        return _without_nulls(data, self.schema, self)

    def completed(self, data: Mapping[str, Json]) -> dict[str, Json]:
        """Data as a model is asked to write it: every property in the order of the schema, null where it has none."""
        named = {field.name: data.get(field.name) for field in self.fields}
        return {**named, **{name: value for name, value in data.items() if name not in named}}

    def leaves(self, data: Mapping[str, Json]) -> Iterator[Leaf]:
        """All scalar values of `data` in order, null ones included."""
        for name, value in data.items():
            sub = self.schema["properties"].get(name, {})
            yield from self._walk(f"/{escape_pointer(name)}", value, sub)

    def branch(self, schema: Schema, value: Json) -> Schema:
        """Of `anyOf`/`oneOf` the first branch that accepts the value; the schema itself where there is none."""
        for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            if self._validator.evolve(schema=branch).is_valid(value):
                return {**schema, **self.resolve(branch)}
        return schema

    def _walk(self, pointer: str, value: Json, schema: Json) -> Iterator[Leaf]:
        sub = self.branch(self.resolve(schema), value)
        if isinstance(value, Mapping):
            for name, item in value.items():
                below = self._below(sub, sub.get("properties", {}).get(name))
                yield from self._walk(f"{pointer}/{escape_pointer(name)}", item, below)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._walk(f"{pointer}/{index}", item, self._below(sub, sub.get("items")))
        else:
            yield Leaf(pointer, value, sub)

    def _below(self, schema: Schema, sub: Json) -> Schema:
        """What is said of a list or object holds for what is in it that says nothing else."""
        passed_on = {key: schema[key] for key in _PASSED_ON if key in schema}
        return {**passed_on, **self.resolve(sub)}


def load_task(schema: str, prompt: str = "zh", examples: Sequence[Example] = ()) -> Task:
    """Build a task from a bundled name or path of a schema and of a prompt."""
    name, text = SCHEMAS.load(schema)
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise SchemaError(f"{schema} is not JSON: {error}. `python -m json.tool {schema}` shows where.") from error
    return make_task(parsed, prompt, name, examples)


def make_task(schema: Json, prompt: str = "zh", name: str = "custom", examples: Sequence[Example] = ()) -> Task:
    """Build a task from a schema at hand. Examples are shown with every property, null where they name none."""
    prompt_name, template = PROMPTS.load(prompt)
    task = Task(name, schema, prompt_name, template)
    return replace(task, examples=tuple(replace(each, data=task.completed(each.data)) for each in examples))


def ground_of(schema: Schema) -> Ground:
    """How a value of this schema must be found in the document."""
    if "x-ground" in schema:
        return cast(Ground, schema["x-ground"])
    if "enum" in schema or "const" in schema:
        return "none"
    kind = value_type(schema)
    if kind in ("number", "integer") or (kind == "string" and schema.get("format") in _DATES):
        return "normalized"
    return "verbatim" if kind == "string" else "none"


def value_type(schema: Schema) -> str:
    """The JSON type that a schema asks for beside null; `string` where it names none."""
    if "enum" in schema and "type" not in schema:
        return "enum"
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    named = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]
    return str(named[0]) if named else "null"


def _is_definition(reference: str) -> bool:
    return reference.startswith(tuple(f"#/{key}/" for key in _DEFINITIONS))


def _rerooted(schema: Json) -> Json:
    """The schema with references to what was its root, or a property of it, led to where that stands in a part."""
    if isinstance(schema, list):
        return [_rerooted(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    changed = {key: value if key in ("enum", "const") else _rerooted(value) for key, value in schema.items()}
    reference = changed.get("$ref")
    if isinstance(reference, str) and not _is_definition(reference):
        changed["$ref"] = f"#/$defs/{_ROOT}{reference.removeprefix('#')}"
    return changed


def _without_nulls(value: Json, schema: Json, task: Task) -> Json:
    sub = task.resolve(schema)
    if isinstance(value, Mapping):
        properties, required = sub.get("properties", {}), sub.get("required", [])
        return {
            name: _without_nulls(item, properties.get(name, {}), task)
            for name, item in value.items()
            if item is not None or name in required or name not in properties
        }
    if isinstance(value, list):
        return [_without_nulls(item, sub.get("items", {}), task) for item in value]
    return value


def digest(text: str) -> str:
    """What tells versions of a schema or a template apart: 16 digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
