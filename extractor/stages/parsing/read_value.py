"""Any JSON value of a text: not only the object of an answer, and not only where there is JSON.

For texts that are not answers to a Prompt, and for the malformed JSON that other projects test their parsers with.
This module knows at most a schema, never a task.
"""

from __future__ import annotations

import re

from extractor.data import Json
from extractor.stages.parsing.extract_json import read_json, unescaped
from extractor.stages.parsing.repair import json_literal
from extractor.task.coerce import coerce
from extractor.task.schema_node import SchemaNode
from extractor.task.task import Schema, Task
from extractor.text.strict_json import ParsedJson, load, plain


def read_value(text: str, schema: Schema | None = None) -> ParsedJson | None:
    """Return the JSON value that a text holds, coerced to a schema if one is given; None where neither can be had."""
    parsed = read_json(text) or read_bare(text)
    if parsed is None or schema is None:
        return ParsedJson(plain(parsed.value), parsed.steps) if parsed else None
    holder = _holder(schema)
    coerced = coerce(ParsedJson({"value": parsed.value}, parsed.steps), holder)
    if not holder.validate(coerced.value):
        return ParsedJson(plain(coerced.value["value"]), coerced.steps)
    option = _mentioned(text, holder.fields[0].node)
    return None if option is None else ParsedJson(option, ("mention",))


def read_bare(text: str) -> ParsedJson | None:
    """Read a text without any JSON in it as a literal, a number or a string."""
    text = text.strip()
    call = re.fullmatch(r"\w+\((.*)\)\s*;?", text, re.DOTALL)  # JSONP and the like: callback({...});
    if call:
        return read_json(call[1]) or read_bare(call[1])
    if text.startswith('\\"'):
        parsed = load(next(unescaped(text)))
        return parsed.after("escaped") if parsed else None
    if text.startswith('"') and text.count('"') == 1:
        closed = load(text + '"')
        return closed.after("cut-off") if closed else None
    if not text or re.search(r'["{}\[\]]', text):
        return None
    literal = load(json_literal(text))
    return ParsedJson(literal.value if literal else text, ("bare",))


def _holder(schema: Schema) -> Task:
    """Make a task of one required field that has the schema."""
    holder: dict[str, Json] = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    return Task("value", holder | {key: schema[key] for key in ("$defs", "definitions") if key in schema}, "", "")


def _mentioned(text: str, node: SchemaNode) -> Json:
    """Return the one option of an enum that the text mentions as a word of its own, or None."""
    options = node.values or ()
    mentioned = [
        option
        for option in options
        if isinstance(option, str) and re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text, re.IGNORECASE)
    ]
    return mentioned[0] if len(mentioned) == 1 else None
