"""HTML as people see it: the visible text, block by block, table rows as lines with a tab between cells.

The title comes first. Scripts, styles, comments and zero-width characters are left out; so are, and are counted, what
is hidden by its own mark or by a style sheet, options that are not chosen, and the readings beside a name (`<rt>`),
which would break it. The target of a link is beside its text. White space collapses as in a browser. Knows no files:
`html` and `eml` do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extractor.encodings import declared
from extractor.encodings.detect import Decoded, Undecodable
from extractor.readers._support import links
from extractor.readers._support.limits import ReadError
from extractor.readers._support.notes import counted, left_out
from extractor.readers._support.style_sheets import Element, StyleSheets, applies_to_screen

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

HEAD_BYTES = 16384
META = re.compile(rb"<meta\b[^>]*?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
XML = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE)
COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)

NOT_RENDERED = frozenset("script style head iframe object audio video datalist rp".split())
UNSEEN = {"template": "template", "noscript": "noscript element", "rt": "ruby reading", "rtc": "ruby reading"}
"""What is not shown, or not in the line, by its name, and what a note calls it."""
BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hr html legend li main menu nav ol option optgroup p pre section select"
    " x-select summary table tbody textarea tfoot thead title tr ul".split()
)
CELLS = frozenset(("td", "th"))
KEPT = frozenset(("pre", "textarea", "listing", "xmp"))
SHOWN_INPUTS = frozenset(("", "text", "email", "tel", "url", "number", "date", "search", "submit", "button", "reset"))
TICKED = {"checkbox": ("☐", "☑"), "radio": ("○", "◉")}
SPACE = re.compile(r"[ \t\r\n\f\v\u00a0]+")
DEEPEST = 10_000
OPENED_OR_CLOSED = re.compile(
    r"<(/?)(?!(?:p|li|d[td]|t[drh]|thead|tbody|tfoot|option|optgroup|br|hr|img|input|meta|link|col|wbr|source|area|base|r[tp])\b)"
    r"[a-z]",
    re.IGNORECASE,
)
OPTION, SELECT, LIST = re.compile("<option", re.IGNORECASE), re.compile(r"(</?)select\b", re.IGNORECASE), "x-select"
MANY_OPTIONS = 2000
ZERO_WIDTH = re.compile("[\u00ad\u200b\u2060\ufeff\0]")


def decode(data: bytes, label: str | None = None) -> Decoded | Undecodable:
    """Decode a page: a byte-order mark counts first, then the label of a mail's header, then what the page declares."""
    head = COMMENT.sub(b"", data[:HEAD_BYTES])
    found = XML.match(head) or META.search(head)
    label_inside = found[1].decode("ascii", "replace") if found else None
    if (declared.codec(label_inside) or "").startswith(("utf-16", "utf-32")):
        label_inside = "utf-8"  # a declaration that can be read as ASCII cannot be right
    return declared.decode(data, label if declared.codec(label) else label_inside)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of a page, and how many of what it leaves out."""

    text: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        return left_out(*(counted(count, what) for what, count in self.left_out.items()))


def render(markup: str, *, hidden: bool = False) -> Rendered:
    """Return the text that a browser would show, and what is hidden as well where that is asked for.

    Raises ReadError for a page that is nested beyond all use.
    """
    from selectolax.lexbor import LexborHTMLParser

    if _is_too_deep(markup):
        raise ReadError("malformed", f"elements are nested more than {DEEPEST:,} deep: repair the page")
    page = LexborHTMLParser(_with_quick_lists(markup))
    flow = Flow()
    title = page.css_first("head > title")
    if title is not None:
        flow.add(title.text())
        flow.end_line()
    visibility = Visibility(StyleSheets.of(() if hidden else _sheets(page)), hidden)
    for node, entered in _walk(page.root, visibility.enters, visibility.leave):
        _render(flow, node, entered)
    return Rendered(flow.text, visibility.left_out)


def _with_quick_lists(markup: str) -> str:
    """Return the page with other names for lists to choose from, where they are so long that the parser, which takes a
    time quadratic in the options of a `<select>`, would be slow."""
    options = sum(1 for _ in OPTION.finditer(markup))
    return SELECT.sub(rf"\1{LIST}", markup) if options > MANY_OPTIONS else markup


def _sheets(page: LexborHTMLParser) -> Iterator[str]:
    """Yield the style sheets in a page that are for a screen."""
    for node in page.css("style"):
        kind = (node.attributes.get("type") or "text/css").strip().lower()
        of_noscript = node.parent is not None and node.parent.tag == "noscript"
        if kind == "text/css" and not of_noscript and applies_to_screen(node.attributes.get("media") or ""):
            yield node.text()


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


LINK_PARTS = 64
"""How many pieces of the text of a link are compared with its target."""


class Flow:
    """Rendered text: white space is held back until there is something for it to separate.

    `_gap` is the white space before the next text: a space, line feeds, or the tab after a cell. `_kept` is how many
    elements around the next text keep their white space as it is written (`<pre>`).
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._gap = ""
        self._kept = 0
        self._link = 0

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

    def begin_link(self) -> None:
        """Note where the text of a link begins."""
        self._link = len(self._parts)

    def end_link(self, target: str) -> None:
        """Put the target of a link beside its text, before the gap that follows."""
        text = "".join(self._parts[self._link :][-LINK_PARTS:])
        if shown := links.beside(text, target):
            gap, self._gap = (self._gap, " ") if text else ("", self._gap)
            self._put(shown)
            self._gap = gap

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


class Visibility:
    """Which elements are shown as the page is walked, and what was left out: only what has a text counts.

    `_chosen` are the options of the list that is open which it shows.
    """

    def __init__(self, styles: StyleSheets, hidden: bool) -> None:
        self._styles = styles
        self._hidden = hidden
        self._chosen: frozenset[int] = frozenset()
        self.left_out: Counter[str] = Counter()

    def enters(self, node: LexborNode) -> bool:
        """Tell whether an element is shown; if so, it is open from now on."""
        if node.tag in NOT_RENDERED:
            return False
        element = Element.of(node.tag or "", node.attributes)
        if not self._hidden and (what := self._why_not(node, element)):
            self.left_out[what] += _has_text(node)
            return False
        if element.name in ("select", LIST):
            self._chosen = frozenset(_chosen(node))
        self._styles.open(element)
        return True

    def leave(self) -> None:
        """Close the innermost element that is open."""
        self._styles.close()

    def _why_not(self, node: LexborNode, element: Element) -> str:
        """Return what a note calls an element that is not shown; empty for one that is."""
        name, attributes = element.name, element.attributes
        if name in UNSEEN:
            return UNSEEN[name]
        if name == "option" and node.mem_id not in self._chosen:
            return "unchosen option"
        by_default = "hidden" in attributes or (name == "dialog" and "open" not in attributes)
        if name in NEVER_HIDDEN or not (by_default or self._styles or "style" in attributes):
            return ""
        return "hidden element" if self._styles.hides(element, attributes.get("style") or "", by_default) else ""


NEVER_HIDDEN = frozenset(("html", "body"))
"""A page that hides itself waits for a script to show it."""


def _chosen(select: LexborNode) -> Iterator[int]:
    """Yield the options that a list shows as chosen: without any marked, a list to drop down shows its first."""
    options = select.css("option")
    marked = [each for each in options if "selected" in each.attributes]
    if "multiple" in select.attributes:
        yield from (each.mem_id for each in marked)
        return
    enabled = (each for each in options if "disabled" not in each.attributes)
    shown = marked[-1] if marked else next(enabled, None)
    if shown is not None:
        yield shown.mem_id


def _has_text(node: LexborNode) -> bool:
    """Tell whether there is anything to read in an element."""
    if node.tag == "template":
        return bool("".join(each.text() for each in node.template_fragments()).strip())
    inside = _walk(node, lambda each: each.tag not in NOT_RENDERED, lambda: None)
    return any(each.is_text_node and (each.text_content or "").strip() for each, _ in inside)


def _walk(
    root: LexborNode | None, enters: Callable[[LexborNode], bool], leave: Callable[[], None]
) -> Iterator[tuple[LexborNode, bool]]:
    """Yield every node that is shown, with True when it is entered and False when it is left.

    Depth first and without recursion, because pages may be nested deeper than Python's stack. Nodes are told apart by
    `mem_id`: the parser makes a new Python object for a node each time. `enters` is asked once for each element and
    followed by `leave`, in the order of brackets, where it says yes.
    """
    node, end = root, root.mem_id if root is not None else 0
    while node is not None:
        child = None
        if not node.is_element_node:
            yield node, True
        elif enters(node):
            yield node, True
            child = node.first_child
            if child is None:
                yield node, False
                leave()
        if child is not None:
            node = child
            continue
        while node.mem_id != end and node.next is None:
            node = node.parent
            if node is None:
                return
            yield node, False
            leave()
        if node.mem_id == end:
            return
        node = node.next


def _render(flow: Flow, node: LexborNode, entered: bool) -> None:
    tag = node.tag
    if tag in BLOCKS:
        flow.begin_line() if entered else flow.end_line()
    if tag in KEPT:
        flow.keep(1 if entered else -1)
    if tag in CELLS and not entered:
        flow.end_cell()
    if tag in AROUND:
        flow.add(AROUND[tag][0 if entered else 1])
    if entered:
        _enter(flow, node)
    elif tag == "a" and node.first_child is not None:  # a parser makes empty ones of what is nested wrongly
        flow.end_link(node.attributes.get("href") or "")


def _enter(flow: Flow, node: LexborNode) -> None:
    if node.is_text_node:
        flow.add(node.text_content or "")
    elif enter := _ENTERED.get(node.tag or ""):
        enter(flow, node)


def _enter_option(flow: Flow, node: LexborNode) -> None:
    if not node.text().strip():
        flow.add(node.attributes.get("label") or "")


def _enter_input(flow: Flow, node: LexborNode) -> None:
    """Add what a form field shows."""
    attributes = node.attributes
    kind = (attributes.get("type") or "").lower()
    if kind in TICKED:
        flow.add(f" {TICKED[kind]['checked' in attributes]} ")
    elif kind in SHOWN_INPUTS:
        flow.add(f" {attributes.get('value') or ''} ")


def _enter_template(flow: Flow, node: LexborNode) -> None:
    flow.begin_line()
    for fragment in node.template_fragments():
        flow.add(fragment.text(separator=" "))
    flow.end_line()


AROUND = {"rt": ("(", ")"), "rtc": ("(", ")")}
_ENTERED: dict[str, Callable[[Flow, LexborNode], None]] = {
    "br": lambda flow, _: flow.break_line(),
    "a": lambda flow, _: flow.begin_link(),
    "input": _enter_input,
    "option": _enter_option,
    "template": _enter_template,
}
