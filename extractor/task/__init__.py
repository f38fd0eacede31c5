"""What is asked: the schema, how it is put to a model, and what interprets it."""
