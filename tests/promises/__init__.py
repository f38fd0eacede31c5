"""One file a promise, with what was tried against it in tables: the next attack is one line."""
