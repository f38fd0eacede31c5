"""How the text of an answer becomes data: strict JSON, spelling put right, the ladder, the shape of a schema."""
