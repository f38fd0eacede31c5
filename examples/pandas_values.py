"""The flattened output as a data frame: a row a value, so that counting and joining is plain.

Usage: python examples/pandas_values.py values.csv
"""

import sys

import pandas as pd

values = pd.read_csv(sys.argv[1], dtype={"value": "string"})
print(values.dropna(subset=["field"]).groupby("field").agg(values=("value", "nunique"), sure=("confidence", "median")))
doubtful = values[values["confidence"] < 0.5]
print(f"{len(doubtful)} values to look at, {values.loc[values['status'] == 'failed', 'id'].nunique()} failed documents")
