"""What becomes of an exception that nobody expected: the document over which it was raised fails, and the run goes on.

Expected failures are values (`Problem`), so whatever is caught here is a bug: it is named in the row and in the log
with its place. Errors of the tree in `errors` end a run, as they are meant to; but a template that fails over one
document fails that one.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from extractor.data import Document, FailedDocument
from extractor.errors import ExtractorError, Problem, PromptError
from extractor.text.printable import one_line

T = TypeVar("T")

PACKAGE = Path(__file__).parent

log = logging.getLogger(__name__)


def contain(document: Document | FailedDocument, step: Callable[[], T]) -> T | FailedDocument:
    """Return what a step with a document comes to; the document as failed where it raises what nobody expected."""
    try:
        return step()
    except PromptError as error:
        return FailedDocument(document.id, document.source, Problem("template", str(error)))
    except ExtractorError:
        raise
    except Exception as error:  # the boundary: a bug over one document costs that document
        return FailedDocument(document.id, document.source, internal(document.id, error))


def internal(id: str, error: BaseException) -> Problem:
    """Return the problem of a document over which this program failed, and log it; with -v, with its traceback.

    Neither has the words of the error, which may be those of the document.
    """
    what = f"{type(error).__name__} in {place(error)}"
    details = (type(error), error, error.__traceback__) if log.isEnabledFor(logging.INFO) else None
    log.error("%s: internal error, the document is failed: %s", one_line(id), what, exc_info=details)
    return Problem("internal", f"a bug of this program: {what}. Report it with this line; other documents are unharmed")


def place(error: BaseException) -> str:
    """Return the line of this package from which an error came: `stages/grounding.py line 120`."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    if not frames:
        return "a place that is not known"
    frame = (ours or list(frames))[-1]
    file = Path(frame.filename)
    return f"{file.relative_to(PACKAGE) if ours else file.name} line {frame.lineno}"
