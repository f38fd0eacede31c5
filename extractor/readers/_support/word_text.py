"""The text of a paragraph of Word: runs, symbols, fields, old form fields, content controls, and link targets.

Hidden words are left out and counted. A field is what its result shows; an old form field (`w:ffData`) what is chosen
or ticked in it; a content control that shows nothing, or how to fill it in, what was chosen. Knows no parts and no
tables: `docx` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from extractor.readers._support import links
from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.xml_tree import Element, attribute, name_of

NOT_SHOWN = frozenset("del moveFrom delText pPr rPr Fallback rt ffData sdtPr sdtEndPr tblPr trPr tcPr tblGrid".split())
AS_TEXT = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
TICKED, NOT_TICKED = "☑", "☐"
CHECKBOXES = {"F0FE": "☑", "F052": "☑", "F0FD": "☒", "F053": "☒", "F0A8": "☐", "F06F": "☐", "F0A3": "☐", "F0FC": "✓"}
"""What Wingdings shows at the code points that forms are ticked with."""
OFF = ("0", "false", "off")


@dataclass(slots=True)
class Field:
    """A complex field that is open: its instruction, and where its result begins in the paragraph.

    `filled` says that what is chosen in it is in the text already, so that a result would repeat it.
    """

    instruction: str = ""
    start: int = 0
    filled: bool = False
    in_result: bool = False


@dataclass(slots=True)
class ParagraphText:
    """The text of one paragraph, and the text boxes that are anchored to it.

    `hidden_styles` are the styles whose words are hidden; None shows hidden words. `links` are the targets outside of
    the document, by the id of their relationship. `fields` are those that are open; they may go on in later paragraphs.
    """

    hidden_styles: frozenset[str] | None
    links: Mapping[str, str]
    fields: list[Field]
    pieces: list[str] = field(default_factory=list)
    boxes: list[Element] = field(default_factory=list)
    hidden: int = 0
    is_hidden: bool = False

    @classmethod
    def of(
        cls, element: Element, hidden_styles: frozenset[str] | None, links: Mapping[str, str], fields: list[Field]
    ) -> ParagraphText:
        """Return the text of a paragraph."""
        for each in fields:
            each.start, each.filled = 0, False
        hidden = hidden_styles is not None and _style(element) in hidden_styles
        found = cls(hidden_styles, links, fields, is_hidden=hidden)
        found._add_children(element)
        return found

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def _add_children(self, element: Element) -> None:
        for child in element:
            name = name_of(child)
            if name in NOT_SHOWN:
                continue
            if add := _ADDERS.get(name):
                add(self, child)
            else:
                self._add_children(child)

    def _add(self, text: str) -> None:
        if not any(each.filled and each.in_result for each in self.fields):
            self.pieces.append(text)

    def _add_text(self, element: Element) -> None:
        self._add("".join(element.itertext()))

    def _add_sign(self, element: Element) -> None:
        self._add(AS_TEXT[name_of(element)])

    def _add_symbol(self, element: Element) -> None:
        self._add(_symbol(attribute(element, "char") or ""))

    def _add_box(self, element: Element) -> None:
        self.boxes.append(element)

    def _add_run(self, element: Element) -> None:
        if self.hidden_styles is not None and hides(element, self.hidden_styles, self.is_hidden):
            self.hidden += sum(len("".join(each.itertext())) for each in element if name_of(each) == "t")
            self._add_fields_of(element)
        else:
            self._add_children(element)

    def _add_fields_of(self, element: Element) -> None:
        """Follow the fields that begin and end in a hidden run."""
        for child in element:
            if name_of(child) in ("fldChar", "instrText"):
                _ADDERS[name_of(child)](self, child)

    def _add_link(self, element: Element) -> None:
        start, place = len(self.pieces), attribute(element, "anchor")
        self._add_children(element)
        target = self.links.get(attribute(element, "id") or "", "")
        self._add_target(start, f"{target}#{place}" if target and place else target)

    def _add_simple_field(self, element: Element) -> None:
        start = len(self.pieces)
        self._add_children(element)
        self._add_target(start, links.target_of(attribute(element, "instr") or ""))

    def _add_field_char(self, element: Element) -> None:
        """Begin a complex field, its result, or end it."""
        kind = attribute(element, "fldCharType")
        if kind == "begin":
            chosen = _form_value(element)
            self._add(chosen or "")
            self.fields.append(Field(start=len(self.pieces), filled=chosen is not None))
            del self.fields[:-DEEPEST]
        elif kind == "separate" and self.fields:
            self.fields[-1].start, self.fields[-1].in_result = len(self.pieces), True
        elif kind == "end" and self.fields:
            ended = self.fields.pop()
            self._add_target(ended.start, links.target_of(ended.instruction))

    def _add_instruction(self, element: Element) -> None:
        if self.fields and len(self.fields[-1].instruction) < LONGEST_INSTRUCTION:
            self.fields[-1].instruction += "".join(element.itertext())

    def _add_control(self, element: Element) -> None:
        """Add a content control: what it shows, or what was chosen in it where it shows no more than how to."""
        start = len(self.pieces)
        self._add_children(element)
        chosen = chosen_in(element)
        if chosen and (shows_placeholder(element) or not "".join(self.pieces[start:]).strip()):
            self.pieces[start:] = [chosen]

    def _add_target(self, start: int, target: str) -> None:
        if target and (shown := links.beside("".join(self.pieces[start:]), target)):
            ended = "".join(self.pieces[start:]).rstrip()
            self._add(f" {shown}" if ended else shown)


LONGEST_INSTRUCTION = 1 << 16
DEEPEST = 32
"""How many fields may be open in one another."""
_ADDERS = {
    "t": ParagraphText._add_text,
    **dict.fromkeys(AS_TEXT, ParagraphText._add_sign),
    "sym": ParagraphText._add_symbol,
    "txbxContent": ParagraphText._add_box,
    "r": ParagraphText._add_run,
    "hyperlink": ParagraphText._add_link,
    "fldSimple": ParagraphText._add_simple_field,
    "fldChar": ParagraphText._add_field_char,
    "instrText": ParagraphText._add_instruction,
    "sdt": ParagraphText._add_control,
}
"""What is done with an element, by its name; all others are only around what is in them."""


def _form_value(element: Element) -> str | None:
    """Return what is chosen in a drop-down field, or whether a check box is ticked; None for any other field."""
    for data in children(element, "ffData"):
        for box in children(data, "checkBox"):
            return TICKED if _setting(box, "checked", _setting(box, "default", "0")) not in OFF else NOT_TICKED
        for choice in children(data, "ddList"):
            entries = [attribute(entry, "val") or "" for entry in children(choice, "listEntry")]
            number = _setting(choice, "result", _setting(choice, "default", "0"))
            return entries[int(number)] if number.isdecimal() and int(number) < len(entries) else ""
    return None


def _setting(element: Element, name: str, default: str) -> str:
    """Return the value of a setting: `1` where it is there without one."""
    return next((attribute(each, "val") or "1" for each in children(element, name)), default)


def chosen_in(control: Element) -> str:
    """Return what was chosen in a content control: an item of a list, a date, whether a box is ticked; else empty."""
    for properties in children(control, "sdtPr"):
        for each in properties:
            if (choose := _CHOICES.get(name_of(each))) and (chosen := choose(each)):
                return chosen
    return ""


def _chosen_item(element: Element) -> str:
    value = attribute(element, "lastValue") or ""
    items = (item for item in children(element, "listItem") if attribute(item, "value") == value)
    return next((attribute(item, "displayText") or value for item in items), value) if value else ""


def _chosen_date(element: Element) -> str:
    return (attribute(element, "fullDate") or "").partition("T")[0]


def _ticked(element: Element) -> str:
    return TICKED if _setting(element, "checked", "0") not in OFF else NOT_TICKED


_CHOICES = {
    "dropDownList": _chosen_item, "comboBox": _chosen_item, "date": _chosen_date, "checkbox": _ticked,
}  # fmt: skip


def shows_placeholder(control: Element) -> bool:
    """Tell whether a content control shows how to fill it in."""
    properties = (each for found in children(control, "sdtPr") for each in children(found, "showingPlcHdr"))
    return any(attribute(each, "val") not in OFF for each in properties)


def hidden_styles(styles: list[Element]) -> frozenset[str]:
    """Return the styles whose words are hidden, those that are based on a hidden one among them."""
    own = {attribute(style, "styleId") or "": _vanishes(style) for style in styles}
    based = {
        attribute(style, "styleId") or "": next((attribute(each, "val") for each in children(style, "basedOn")), None)
        for style in styles
    }
    return frozenset(name for name in own if _inherited(name, own, based))


def _inherited(name: str, own: Mapping[str, bool | None], based: Mapping[str, str | None]) -> bool:
    """Tell whether a style hides, itself or by the first of those that it is based on which says so."""
    current: str | None = name
    for _ in range(LONGEST_LINE_OF_STYLES):
        if current is None or current not in own:
            return False
        if (says := own[current]) is not None:
            return says
        current = based[current]
    return False


LONGEST_LINE_OF_STYLES = 12
"""Word itself follows ten."""


def hides(run: Element, styles: frozenset[str], default: bool = False) -> bool:
    """Tell whether the properties of a run hide its words (`w:vanish`), or else its style, or that of its paragraph."""
    own = _vanishes(run)
    if own is not None:
        return own
    used = (attribute(each, "val") for found in children(run, "rPr") for each in children(found, "rStyle"))
    return default or any(style in styles for style in used)


def _vanishes(element: Element) -> bool | None:
    """Return what the properties of a run or a style say of hiding; None where they say nothing."""
    marks = (each for found in children(element, "rPr") for each in children(found, "vanish"))
    return next((attribute(each, "val") not in OFF for each in marks), None)


def _style(paragraph: Element) -> str | None:
    used = (attribute(each, "val") for found in children(paragraph, "pPr") for each in children(found, "pStyle"))
    return next(used, None)


def _symbol(code: str) -> str:
    try:
        return CHECKBOXES.get(code.upper()) or SURROGATE.sub("", chr(int(code, 16)))
    except (ValueError, OverflowError):
        return ""


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield the children of a name."""
    return (child for child in element if name_of(child) == name)
