"""SQL over the Parquet output: what was found, how sure the model was, and why documents failed.

Usage: python examples/duckdb_parquet.py results.parquet
"""

import sys

import duckdb

FOUND = """
    SELECT id, data."手机号" AS phone, confidence['/手机号'] AS confidence, spans['/手机号'][1].start AS at
    FROM read_parquet(?)
    WHERE data."手机号" IS NOT NULL
    ORDER BY id
"""
SUMMARY = """
    SELECT status, code, count(*) AS documents, sum(usage.completion_tokens) AS tokens
    FROM read_parquet(?)
    GROUP BY ALL
    ORDER BY ALL
"""

for query in (FOUND, SUMMARY):
    result = duckdb.execute(query, [sys.argv[1]])
    print("\t".join(column[0] for column in result.description))
    for row in result.fetchall():
        print("\t".join(map(str, row)))
