"""A mail as a text: headers as lines, the text after a blank line, then the names of attachments."""

from __future__ import annotations

from extractor.readers._support.limits import ReadError
from extractor.readers._support.segments import TextBuilder


class MailText:
    """The text of a mail as it grows. `part` in a location is the part's number or whatever names it in the format."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self._has_attachments = False

    def add_header(self, name: str, value: str) -> None:
        """Add a header, unless it is empty."""
        if value:
            self.builder.write(f"\n{name}: " if self.builder else f"{name}: ")
            self.builder.add(value, {"part": "header", "header": name})

    def add_body(self, text: str, part: str, kind: str) -> None:
        """Add a part of the text that is of a media type, unless it is blank."""
        body = text.replace("\r\n", "\n").strip("\n")
        if body.strip():
            self.builder.write("\n\n" if self.builder else "")
            self.builder.add(body, {"part": part, "type": kind})

    def add_attachment(self, name: str, part: str, kind: str) -> None:
        """Add the name of an attachment."""
        self.builder.write(("\n" if self._has_attachments else "\n\n") if self.builder else "")
        self.builder.write("Attachment: ")
        self.builder.add(name, {"part": part, "type": kind})
        self._has_attachments = True

    def check(self) -> None:
        """Raise ReadError where there is no text."""
        if not self.builder.text.strip():
            raise ReadError("empty", "no text: the mail has neither the usual headers nor a text")
