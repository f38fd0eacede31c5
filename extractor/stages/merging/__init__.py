"""Stage 10: all that came of a document becomes one Record, whatever the number of chunks, groups, passes and attempts.

    merge            the record of a document
    candidates         a value of one extraction, and what is known of it
    deduplication      what several extractions say of one place counts once
    merger             scalars, objects and lists of several extractions become one
    record_errors      what went wrong, attempt by attempt
    provenance         how values were parsed, decoded and grounded

No module here looks a value up in the text: the places that `grounding` found are trusted.
"""

from extractor.stages.merging.merge import merge, merge_data

__all__ = ["merge", "merge_data"]
