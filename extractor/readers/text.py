"""Plain text and Markdown: one file, one document, its characters as they are."""

from __future__ import annotations

from extractor.readers._support.plain_text import read
from extractor.readers._support.signatures import PlainText

__all__ = ["NAME", "SIGNATURES", "SUFFIXES", "TRUSTED", "read"]

SUFFIXES = (".txt", ".text", ".log", ".md", ".markdown")
NAME = "plain text"
SIGNATURES = (PlainText(),)
TRUSTED = True
