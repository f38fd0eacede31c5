"""How the bundled demo model was made: synthetic documents, a tokenizer, a small ChatGLM3, and what it scores."""
