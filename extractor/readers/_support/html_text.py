"""HTML as people see it: the visible text, block by block, table rows as lines with a tab between cells.

The title comes first. Scripts, styles, comments and what is marked as hidden are left out; so are zero-width
characters. White space collapses as in a browser. Knows no files: `html` and `eml` do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from extractor.encodings import declared
from extractor.encodings.detect import Decoded, Undecodable
from extractor.readers._support.limits import ReadError

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

HEAD_BYTES = 16384
META = re.compile(rb"<meta\b[^>]*?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
XML = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE)
COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)

NOT_RENDERED = frozenset("script style template noscript head iframe object audio video datalist".split())
BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hr html legend li main menu nav ol option optgroup p pre section select"
    " summary table tbody textarea tfoot thead title tr ul".split()
)
CELLS = frozenset(("td", "th"))
KEPT = frozenset(("pre", "textarea", "listing", "xmp"))
SHOWN_INPUTS = frozenset(("", "text", "email", "tel", "url", "number", "date", "search", "submit", "button", "reset"))
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE)
SPACE = re.compile(r"[ \t\r\n\f\v\u00a0]+")
DEEPEST = 10_000
OPENED_OR_CLOSED = re.compile(
    r"<(/?)(?!(?:p|li|d[td]|t[drh]|thead|tbody|tfoot|option|optgroup|br|hr|img|input|meta|link|col|wbr|source|area|base|r[tp])\b)"
    r"[a-z]",
    re.IGNORECASE,
)
ZERO_WIDTH = re.compile("[\u00ad\u200b\u2060\ufeff\0]")


def decode(data: bytes, label: str | None = None) -> Decoded | Undecodable:
    """Decode a page: a byte-order mark counts first, then the label of a mail's header, then what the page declares."""
    head = COMMENT.sub(b"", data[:HEAD_BYTES])
    found = XML.match(head) or META.search(head)
    label_inside = found[1].decode("ascii", "replace") if found else None
    if (declared.codec(label_inside) or "").startswith(("utf-16", "utf-32")):
        label_inside = "utf-8"  # a declaration that can be read as ASCII cannot be right
    return declared.decode(data, label if declared.codec(label) else label_inside)


def visible_text(markup: str) -> str:
    """Return the text that a browser would show. Raises ReadError for a page that is nested beyond all use."""
    from selectolax.lexbor import LexborHTMLParser

    if _is_too_deep(markup):
        raise ReadError("malformed", f"elements are nested more than {DEEPEST:,} deep: repair the page")
    page = LexborHTMLParser(markup)
    flow = Flow()
    title = page.css_first("head > title")
    if title is not None:
        flow.add(title.text())
        flow.end_line()
    for node, entered in _walk(page.root):
        _render(flow, node, entered)
    return flow.text


def _is_too_deep(markup: str) -> bool:
    """Tell whether more elements may be open at once than a parser should be given, whose time is quadratic in that.

    Elements that need no end do not count.
    """
    depth = 0
    for tag in OPENED_OR_CLOSED.finditer(markup):
        depth = max(0, depth - 1) if tag[1] else depth + 1
        if depth > DEEPEST:
            return True
    return False


class Flow:
    """Rendered text: white space is held back until there is something for it to separate.

    `_gap` is the white space before the next text: a space, line feeds, or the tab after a cell. `_kept` is how many
    elements around the next text keep their white space as it is written (`<pre>`).
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._gap = ""
        self._kept = 0

    def add(self, text: str) -> None:
        """Append the text of a node."""
        text = ZERO_WIDTH.sub("", text)
        if self._kept:
            self._put(text.replace("\u00a0", " ").replace("\r\n", "\n"))
            return
        words = SPACE.sub(" ", text)
        if words.startswith(" "):
            self._gap = self._gap or " "
        if words.strip(" "):
            self._put(words.strip(" "))
            self._gap = " " if words.endswith(" ") else ""

    def begin_line(self) -> None:
        """Begin a block; the first one of a cell stays after its tab."""
        self._gap = self._gap if "\t" in self._gap else "\n"

    def end_line(self) -> None:
        """End a block."""
        self._gap = "\n"

    def end_cell(self) -> None:
        """End a cell: the next one is on the same line."""
        self._gap = "\t"

    def break_line(self) -> None:
        """End a line at `<br>`; two in a row leave a blank line."""
        self._gap = self._gap + "\n" if self._gap.startswith("\n") else "\n"

    def keep(self, change: int) -> None:
        """Enter (1) or leave (-1) an element whose white space is kept."""
        self._kept += change

    def _put(self, text: str) -> None:
        if self._parts and self._gap:
            self._parts.append(self._gap)
        self._gap = ""
        if text:
            self._parts.append(text)

    @property
    def text(self) -> str:
        return "".join(self._parts).rstrip("\n")


def _walk(root: LexborNode | None) -> Iterator[tuple[LexborNode, bool]]:
    """Yield every visible node, with True when it is entered and False when it is left.

    Depth first and without recursion, because pages may be nested deeper than Python's stack. Nodes are told apart by
    `mem_id`: the parser makes a new Python object for a node each time.
    """
    node = root
    while node is not None:
        yield node, True
        child = node.first_child if _is_visible(node) else None
        if child is not None:
            node = child
            continue
        yield node, False
        while node is not None and node.next is None:
            node = node.parent
            if node is None or node.mem_id == (root.mem_id if root else 0):
                return
            yield node, False
        node = node.next if node is not None else None


def _is_visible(node: LexborNode) -> bool:
    if not node.is_element_node or node.tag in NOT_RENDERED:
        return not node.is_element_node
    attributes = node.attributes
    return "hidden" not in attributes and not HIDDEN.search(attributes.get("style") or "")


def _render(flow: Flow, node: LexborNode, entered: bool) -> None:
    tag = node.tag
    if tag in BLOCKS:
        flow.begin_line() if entered else flow.end_line()
    if tag in KEPT:
        flow.keep(1 if entered else -1)
    if tag in CELLS and not entered:
        flow.end_cell()
    if entered:
        _enter(flow, node)


def _enter(flow: Flow, node: LexborNode) -> None:
    if node.is_text_node:
        flow.add(node.text_content or "")
    elif node.tag == "br":
        flow.break_line()
    elif node.tag == "input":
        flow.add(_form_value(node))


def _form_value(node: LexborNode) -> str:
    """Return what a form field shows."""
    attributes = node.attributes
    return f" {attributes.get('value') or ''} " if (attributes.get("type") or "").lower() in SHOWN_INPUTS else ""
