"""The pipeline from Python: `Extractor(schema="contact").run(texts)` yields records.

    row_types, dataclass_types    what to extract: a class, a schema, a list of fields
    documents                     what people have at hand, as documents
    extractor                     the Extractor, which shares one model between its runs
    records, tables               records with their instances and texts; a DataFrame of them
    asynchronous, progress        runs in an event loop; a bar
    evaluation                    a run against gold

Command line and Python ask the same pipeline and read by the same readers.
"""

from extractor.api.extractor import Extractor
from extractor.api.records import TypedRecord
from extractor.api.tables import to_pandas

__all__ = ["Extractor", "TypedRecord", "to_pandas"]
