"""A table that each run brings up to date: a document that has changed replaces its row, other tables are left alone.

Usage: python examples/sqlite_upsert.py results.sqlite
"""

import sqlite3
import sys
from contextlib import closing

JOINED = """
    SELECT owners.name, records.id, records."手机号", json_extract(records.spans, '$."/手机号"[0][0]') AS at
    FROM records JOIN owners ON owners.phone = records."手机号"
    ORDER BY records.id
"""

with closing(sqlite3.connect(sys.argv[1])) as database, database:
    database.execute("CREATE TABLE IF NOT EXISTS owners (phone TEXT PRIMARY KEY, name TEXT)")
    database.execute("INSERT OR REPLACE INTO owners VALUES ('18888888888', '小华')")
    for row in database.execute(JOINED):
        print(*row, sep="\t")
    print(database.execute("SELECT count(*) FROM records").fetchone()[0], "documents")
