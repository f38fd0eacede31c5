"""A task is a schema and a prompt, both checked when it is loaded, so that a run never fails on them later.

The schema is a JSON Schema of an object; each property is an entity type. Keywords of ours are annotations and begin
with `x-`. The schema is compiled once, and a part of a task shares what the whole has compiled. This module does not
know how a prompt is rendered (`prompting`) nor how an answer is confined to the schema (`engine`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache

from extractor.data import Json, Normalization
from extractor.errors import Problem, SchemaError
from extractor.task.answer_grammar import AnswerGrammar, compile_grammar, unconstrained
from extractor.task.bundled import PROMPTS, SCHEMAS
from extractor.task.examples import Example
from extractor.task.schema_check import checked
from extractor.task.schema_compile import compile_schema
from extractor.task.schema_node import CompiledSchema, SchemaNode
from extractor.task.schema_source import Schema, SchemaSource, check_text, normalize
from extractor.task.validation import SchemaValidator
from extractor.task.validation_messages import problems
from extractor.task.walk import Leaf, Walk
from extractor.text.json_pointer import escape_pointer

__all__ = ["Field", "Leaf", "Schema", "Task", "digest", "load_task", "make_task"]


@dataclass(frozen=True, slots=True)
class Field:
    """One entity type: a property of the schema."""

    name: str
    node: SchemaNode
    required: bool
    type: str
    """The JSON type that is asked for, or several joined with ` or `; `null` beside it goes without saying."""

    @property
    def title(self) -> str:
        return self.node.annotations.title

    @property
    def description(self) -> str:
        return self.node.annotations.description

    @property
    def sensitive(self) -> bool:
        return self.node.annotations.sensitive

    @property
    def normalize(self) -> Normalization | None:
        return self.node.annotations.normalize


@dataclass(frozen=True)
class Task:
    """What to extract (`schema`) and how to ask for it (`template`, a Jinja2 source, with `examples` to show).

    `origin` is the task of which this one is a part, if it is one, and `names` are the fields of that part.
    """

    name: str
    schema: Schema
    prompt: str
    template: str
    examples: tuple[Example, ...] = field(default=())
    origin: Task | None = None
    names: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.origin is None:  # a part of a schema that was checked needs no check
            check_text(self.schema)
            _ = self._loaded

    def __getstate__(self) -> dict[str, object]:
        """Leave out what was compiled, which no pickle takes: it is compiled again where it is asked for."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @cached_property
    def _loaded(self) -> tuple[SchemaSource, CompiledSchema]:
        return self.origin._loaded if self.origin else _load(json.dumps(self.schema))

    @property
    def source(self) -> SchemaSource:
        """The schema as the validator sees it."""
        return self._loaded[0]

    @property
    def compiled(self) -> CompiledSchema:
        """The schema as everything else sees it."""
        return self._loaded[1]

    @cached_property
    def walk(self) -> Walk:
        return Walk(self.compiled, self.validator)

    @cached_property
    def validator(self) -> SchemaValidator:
        """What judges values: of a part, without what must hold only for the whole."""
        if self.origin and self.origin.origin:
            return self.origin.validator
        return SchemaValidator(self.source, part=self.origin is not None)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        found: dict[str, Field] = {}
        for node in self.compiled.options(self.compiled.root):
            for name, sub in node.properties.items():
                if self.names is None or name in self.names:
                    asked = self.compiled[sub]
                    found.setdefault(name, Field(name, asked, name in node.required, self.compiled.type_of(asked)))
        return tuple(found.values())

    @cached_property
    def is_map(self) -> bool:
        """Whether a document may have fields of its own, which it names itself."""
        return any(option.is_map for option in self.compiled.options(self.compiled.root))

    @property
    def all_fields(self) -> tuple[str, ...] | None:
        """The pointers of all fields, without their slash; None where a document names fields of its own."""
        return None if self.is_map else tuple(escape_pointer(each.name) for each in self.fields)

    @cached_property
    def normalizes(self) -> bool:
        """Whether the schema asks for normalized forms of any value (`x-normalize`)."""
        return any(node.annotations.normalize for node in self.compiled.nodes.values())

    @property
    def whole(self) -> Task:
        """The task that has the last word on the data."""
        return self.origin.whole if self.origin else self

    def as_part(self) -> Task:
        """Return the task for a part of a document: what must hold for the whole is not asked of a part."""
        return self if self.origin else self.part([each.name for each in self.fields])

    def part(self, names: Collection[str]) -> Task:
        """Return the task of some of the fields, or of all in a part of a document.

        What holds only for the whole (`required`, `minItems`, conditions between fields) is left for the whole to
        check.
        """
        properties = {name: sub for name, sub in self.schema.get("properties", {}).items() if name in names}
        schema = {**self.schema, "properties": properties} if properties else self.schema
        examples = tuple(example.part(names) for example in self.examples)
        return replace(self, schema=schema, examples=examples, origin=self, names=frozenset(names))

    @cached_property
    def grammar(self) -> AnswerGrammar:
        """What of the grammar of answers is the same for all documents."""
        return compile_grammar(self.compiled, self.names, part=self.origin is not None)

    @cached_property
    def unconstrained(self) -> tuple[str, ...]:
        """Pointers of fields whose grammar holds them to less than the schema says."""
        known = {"", *(f"/{each.name}" for each in self.fields)}
        found = unconstrained(self.compiled, self.grammar)
        return found if self.names is None else tuple(pointer for pointer in found if pointer in known)

    @cached_property
    def settings(self) -> dict[str, str]:
        """What of the task can change a result, for the fingerprint: names of parts to their digests."""
        return {
            "schema": digest(json.dumps(self.schema, ensure_ascii=False)),
            "prompt": digest(self.template),
            "examples": digest(json.dumps([[each.text, each.data] for each in self.examples], ensure_ascii=False)),
        }

    def problems(self, data: Json) -> tuple[Problem, ...]:
        """Return what the schema has against `data`; empty when it is accepted.

        A null of an optional property counts as absent. Messages name fields and rules, never values.
        """
        return problems(list(self.validator.errors(self.without_nulls(data))))

    def validate(self, data: Json) -> tuple[str, ...]:
        """Return the messages of what the schema has against `data`."""
        return tuple(problem.message for problem in self.problems(data))

    def misfits(self, data: Json) -> frozenset[str]:
        """Return the pointers of the values that the schema has something against."""
        paths = (error.absolute_path for error in self.validator.errors(self.without_nulls(data)))
        return frozenset("".join(f"/{escape_pointer(str(part))}" for part in path) for path in paths)

    def without_nulls(self, data: Json) -> Json:
        """Return `data` without the optional properties that are null, at every depth."""
        return self.walk.without_nulls(data, self.compiled.root_name)

    def completed(self, data: Mapping[str, Json]) -> dict[str, Json]:
        """Return data as a model is asked to write it: every property in order, null where it has none."""
        named = {each.name: data.get(each.name) for each in self.fields}
        return {**named, **{name: value for name, value in data.items() if name not in named}}

    def leaves(self, data: Mapping[str, Json]) -> Iterator[Leaf]:
        """Yield all scalar values of `data` in order, null ones included."""
        return self.walk.leaves(data)

    def entries(self, data: Mapping[str, Json]) -> frozenset[str]:
        """Return the pointers of the members of `data` that the schema does not name: a map's."""
        return frozenset(self.walk.entries(data))


@lru_cache(maxsize=16)
def _load(schema: str) -> tuple[SchemaSource, CompiledSchema]:
    """Return a schema (JSON) normalized and compiled, the same for every task that is made of it."""
    source = normalize(json.loads(schema))
    return source, checked(source, compile_schema(source))


def load_task(schema: str, prompt: str = "zh", examples: Sequence[Example] = ()) -> Task:
    """Build a task from a bundled name or path of a schema and of a prompt."""
    name, text = SCHEMAS.load(schema)
    try:
        parsed = json.loads(text)
    except RecursionError as error:
        raise SchemaError(f"{schema} is nested too deep.") from error
    except ValueError as error:
        raise SchemaError(f"{schema} is not JSON: {error}. `python -m json.tool {schema}` shows where.") from error
    return make_task(parsed, prompt, name, examples)


def make_task(schema: Json, prompt: str = "zh", name: str = "custom", examples: Sequence[Example] = ()) -> Task:
    """Build a task from a schema at hand. Examples are shown with every property, null where they name none."""
    prompt_name, template = PROMPTS.load(prompt)
    task = Task(name, schema, prompt_name, template)
    return replace(task, examples=tuple(replace(each, data=task.completed(each.data)) for each in examples))


def digest(text: str) -> str:
    """Return what tells versions of a schema or a template apart: 16 digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
