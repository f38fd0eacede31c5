"""One error tree, one Problem, one closed set of codes. Messages say what is wrong and what to do next.

Errors end a run. The command line maps a branch of the tree to an exit code:

    ExtractorError
    ├── UsageError            exit 2: the command, a schema or a prompt is wrong
    │   ├── SchemaError       a schema that is not valid, or that asks for something refused (a remote `$ref`)
    │   ├── PromptError       a template that does not parse or names an unknown variable
    │   └── InputError        an input path that does not exist, or inputs without a document
    ├── ModelError            exit 3: the model could not be loaded, or its server not used
    │   ├── CheckpointError   files that are missing, broken or not ChatGLM3
    │   └── DownloadError     the hub did not answer, or `--offline` forbade to ask
    └── OutputError           exit 4: rows could not be written (exit 2 for the two below: nothing was touched)
        ├── OutputLocked      another run is writing the same output
        └── OutputMismatch    the output belongs to a run with other settings

The expected failure of one document or of one answer (bad JSON, an ungrounded value, an unreadable file) is never an
exception of this tree: it is a value, a `Problem` with one of the `CODES`. This module knows no stage and imports none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Code = Literal[
    "empty",
    "binary",
    "encoding",
    "malformed",
    "too-large",
    "locked",
    "damaged",
    "no-text",
    "mislabelled",
    "unsupported",
    "extra",
    "bomb",
    "io",
    "timeout",
    "crashed",
    "gone",
    "changed",
    "unread",
    "parse",
    "schema",
    "length",
    "overflow",
    "numerics",
    "error",
    "template",
    "internal",
    "ungrounded",
    "required",
    "confidence",
    "reference",
]
"""Why there is no value. The set is closed: what a record or `run.json` names is one of these."""

CODES: Mapping[Code, str] = {
    # the text of a document or row
    "empty": "there is no text: no bytes, or only white space",
    "binary": "the bytes are not text",
    "encoding": "the text encoding is not recognised, or some bytes break it",
    "malformed": "a row or file is not in the format that it claims (broken JSON, CSV, ...)",
    "too-large": "more bytes than --max-bytes, or more pixels or pages than are read",
    # a file of a document format
    "locked": "a password is needed, or the one given is wrong",
    "damaged": "the file begins as its format should and is broken further on",
    "no-text": "the format is read, but no text is found (a scan)",
    "mislabelled": "the suffix names another format than the content shows",
    "unsupported": "no reader for the format",
    "extra": "reading the format needs a package that is not installed",
    "bomb": "an archive beyond the limits",
    # reading it
    "io": "the file cannot be opened or read",
    "timeout": "reading took longer than --read-timeout",
    "crashed": "the process that read or worked on the document died",
    "gone": "the document that a record came from is no longer there",
    "changed": "the document has changed since its record was written",
    "unread": "the run could not read the document, so there is no text to show",
    # the answer of the model
    "parse": "no JSON object could be read from the answer",
    "schema": "the answer breaks the schema",
    "length": "the answer was cut off at the limit of tokens",
    "overflow": "the prompt exceeds the context of the model",
    "numerics": "the model computed numbers that are not finite (NaN or infinity)",
    "error": "the backend gave up on the prompt",
    # this document could not be asked about, or worked on
    "template": "the prompt template fails over this document",
    "internal": "a bug of this program, over this document",
    # a value of the answer
    "ungrounded": "the value does not occur in the document",
    "required": "the schema requires a value that was not found",
    "confidence": "the confidence of the value is below --min-confidence",
    "reference": "the value refers to nothing in the row (x-ref)",
}
"""What each code means, in one line. `docs/problems.md` says what to do about each."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no value: a code for programs, and one line for people that says what to do next."""

    code: Code
    message: str


class ExtractorError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code = 1


class UsageError(ExtractorError):
    """The request cannot be carried out as written."""

    exit_code = 2


class SchemaError(UsageError):
    """The schema is not a usable JSON Schema of an object."""


class PromptError(UsageError):
    """The prompt template does not parse or render."""


class InputError(UsageError):
    """An input that was named does not exist or cannot be opened at all."""


class ModelError(ExtractorError):
    """The model could not be loaded, or its server not used."""

    exit_code = 3


class CheckpointError(ModelError):
    """A checkpoint's files are missing, broken or of another architecture."""


class DownloadError(ModelError):
    """A model could not be downloaded."""


class OutputError(ExtractorError):
    """Rows could not be written."""

    exit_code = 4


class OutputLocked(OutputError):
    """Another run holds the output."""

    exit_code = 2


class OutputMismatch(OutputError):
    """The output on disk was made with other settings."""

    exit_code = 2
