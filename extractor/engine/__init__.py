"""Batch generation: `constraint` says which tokens may come next, `batch` decodes many prompts together.

Knows prompts as token ids and a source text; does not know documents, templates or records.
"""
