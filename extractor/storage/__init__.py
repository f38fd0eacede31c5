"""Files that survive a kill: append log, resume, manifest, locks, compression, object stores.

A row goes from a `Sink` (`resumable_file`) to a `Format` (`append_log` for text that grows at its end; `sinks` has the
others) and from there to the file. This package knows no output formats but JSON Lines, in which part files, streams
and rows that are not in a Parquet file yet are written.
"""
