"""Stage 5: a Completion becomes an Extraction, or a Rejection that says why not.

The way of an answer, one module a step; what flows between them is a `ParsedJson`, a value and the steps so far:

    parse           the steps in order, and the schema's verdict at their end
    extract_json    finds the JSON in the text, and what to read where there is none
    repair          mends its syntax without touching what it says
    unwrap          finds the one object among wrappers, lists and pairs
    task.coerce     brings its values to the types of the schema
    salvage         what holds of an answer that the schema does not take
    read_value      a door of its own: any JSON value of a text, without a task

An answer that was cut off never counts as complete, and what it said to its end is not lost. No module here knows
whether a value occurs in the document; `grounding` does.
"""

from extractor.stages.parsing.extract_json import read_json
from extractor.stages.parsing.parse import parse
from extractor.stages.parsing.read_value import read_value

__all__ = ["parse", "read_json", "read_value"]
