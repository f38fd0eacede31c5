"""A person goes through rows, the doubtful first, and what is decided becomes gold.

    records + texts -> session (draft -> form, edits, checks) -> gold file
                          ^
    browser <-> server <-> desk

What a value must be is decided here, by the schema's nodes and the text; the page shows it and sends what was clicked
and typed. This package does not know how rows are read, nor what is learned from gold.
"""

from extractor.review.gold import GoldFile
from extractor.review.server import serve
from extractor.review.session import Selection, Session, Wanted, rows_to_review

__all__ = ["GoldFile", "Selection", "Session", "Wanted", "rows_to_review", "serve"]
