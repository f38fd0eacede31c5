"""One file per document format: a module with SUFFIXES and `read`. Shared helpers are in `_support`."""
