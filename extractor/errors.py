"""One error tree. A message says what is wrong and what to do next; the command line maps a branch to an exit code.

    ExtractorError
    ├── UsageError            exit 2: the command, a schema or a prompt is wrong
    │   ├── SchemaError       a schema that is no schema, or that asks for something refused (a remote `$ref`)
    │   ├── PromptError       a template that does not parse or names an unknown variable
    │   └── InputError        an input path that does not exist
    ├── ModelError            exit 3: the model could not be had
    │   ├── CheckpointError   files that are missing, broken or not ChatGLM3
    │   └── DownloadError     the hub did not answer, or `--offline` forbade to ask
    └── OutputError           exit 4: rows could not be written (exit 2 for the two below: nothing was touched)
        ├── OutputLocked      another run is writing the same output
        └── OutputMismatch    the output belongs to a run with other settings

An expected failure of one document (bad JSON, an ungrounded value, an unreadable file) is never an exception: it is
a value of `extractor.data`.
"""


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
    """The model could not be loaded."""

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
