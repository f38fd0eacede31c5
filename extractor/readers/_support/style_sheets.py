"""What the style sheets of a page hide: the cascade of `display` and `visibility`, on a screen of a usual width.

A selector is a chain of compounds (name, class, id, attribute, `:not()` of them), each inside of or a child of the one
before. What goes beyond that (siblings, numbers of children) hides nothing here, and shows all that it may show; what
waits for a pointer (`:hover`) does neither. Sheets are not loaded from elsewhere. An index by the last compound, and a
budget for all else, keep the time linear in elements and rules. Knows no tree: it is told what opens and closes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|<!--|-->", re.DOTALL)
PIECE_OF_SHEET = re.compile(r""""(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?|[{};]|\\.?|[^{}"';\\]+""", re.DOTALL)
GROUPS = ("media", "supports", "layer", "container", "scope")
"""At-rules around rules; what all others hold (`@font-face`, `@keyframes`) is not about elements."""
WIDTH, EM = 1280, 16
CONDITION = re.compile(r"\(([^()]*)\)")
WIDTH_BOUND = re.compile(r"(min|max)-width:(\d*\.?\d+)(px|r?em)|width(>=|<=|>|<)(\d*\.?\d+)(px|r?em)")
ALWAYS = frozenset(("orientation:landscape", "prefers-color-scheme:light", "hover:hover", "pointer:fine", "hover"))

IDENT = r"(?:[-0-9A-Za-z_\x80-\U0010ffff]|\\.)++"
PIECE = re.compile(
    rf"(\*|{IDENT})|#({IDENT})|\.({IDENT})"
    rf"|\[\s*({IDENT})\s*(?:([~^$*]?=)\s*(?:\"([^\"]*)\"|'([^']*)'|([^\]\s]+))\s*[is]?\s*)?\]"
    r"|(::?[-\w]+)(?:\(([^()]*)\))?",
    re.IGNORECASE,
)
COMBINATOR = re.compile(r"\s*([>+~])\s*|\s+")
ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(.))", re.IGNORECASE | re.DOTALL)
WAITING = frozenset(
    ":hover :focus :focus-within :focus-visible :active :visited :target :fullscreen :popover-open :modal".split()
)
LONGEST_SHEET = 4 << 20
RULES = 50_000
LONGEST_CHAIN = 8
BUDGET = 500_000
"""How often elements and compounds are compared, beyond one look-up for each name, class and id."""
HIDING: Mapping[str, tuple[str, ...]] = {"display": ("none",), "visibility": ("hidden", "collapse")}

Priority = tuple[bool, int, int, int, int, int]
"""Whether it is important or inline, the specificity (ids, classes, names), and the place in the sheet."""
NO_PRIORITY: Priority = (False, -1, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Element:
    """What selectors see of an element."""

    name: str
    attributes: Mapping[str, str | None]
    id: str
    classes: frozenset[str]

    @classmethod
    def of(cls, name: str, attributes: Mapping[str, str | None]) -> Element:
        """Return the element of a name with these attributes."""
        classes = frozenset((attributes.get("class") or "").split()) if "class" in attributes else NO_CLASSES
        return cls(name, attributes, attributes.get("id") or "", classes)


NO_CLASSES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Attribute:
    """A condition on an attribute: that it is there, or what its value is (`=`), begins with (`^=`), ..."""

    name: str
    operator: str
    value: str

    def matches(self, element: Element) -> bool:
        """Tell whether an element meets the condition."""
        if self.name not in element.attributes:
            return False
        found = element.attributes[self.name] or ""
        return {
            "": True,
            "=": found == self.value,
            "~=": self.value in found.split(),
            "^=": bool(self.value) and found.startswith(self.value),
            "$=": bool(self.value) and found.endswith(self.value),
            "*=": bool(self.value) and self.value in found,
        }[self.operator]


@dataclass(frozen=True, slots=True)
class Compound:
    """What one element must be: `div.note:not(.open)`. `is_exact` is False where the sheet says more than this."""

    name: str = ""
    ids: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    attributes: tuple[Attribute, ...] = ()
    excluded: tuple[Compound, ...] = ()
    is_exact: bool = True

    def matches(self, element: Element) -> bool:
        """Tell whether an element is that."""
        return (
            (not self.name or self.name == element.name)
            and (not self.ids or self.ids == {element.id})
            and self.classes <= element.classes
            and all(attribute.matches(element) for attribute in self.attributes)
            and not any(each.matches(element) for each in self.excluded)
        )

    @property
    def key(self) -> str:
        """What every element that matches has, for the index: an id, a class or a name; `*` for any."""
        if self.ids:
            return f"#{min(self.ids)}"
        return f".{min(self.classes)}" if self.classes else self.name or "*"

    @property
    def is_key(self) -> bool:
        """Whether an element with the key matches for sure."""
        more = self.attributes or self.excluded or not self.is_exact
        return not more and bool(self.name) + len(self.ids) + len(self.classes) <= 1

    @property
    def specificity(self) -> tuple[int, int, int]:
        inside = [each.specificity for each in self.excluded]
        classes = len(self.classes) + len(self.attributes)
        return (
            len(self.ids) + sum(each[0] for each in inside),
            classes + sum(each[1] for each in inside),
            bool(self.name) + sum(each[2] for each in inside),
        )


@dataclass(frozen=True, slots=True)
class Selector:
    """A chain of compounds, the last one first; `is_child` says of each but the first whether it is the parent of the
    one before, not only around it."""

    compounds: tuple[Compound, ...]
    is_child: tuple[bool, ...] = ()
    is_exact: bool = True

    @property
    def specificity(self) -> tuple[int, int, int]:
        ids, classes, names = zip(*(each.specificity for each in self.compounds), strict=True)
        return sum(ids), sum(classes), sum(names)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a selector says of one property: whether it hides."""

    selector: Selector
    property: str
    hides: bool
    priority: Priority


@dataclass(slots=True)
class StyleSheets:
    """All rules of a page that hide or show, and the elements that are open.

    `_by_key` holds for each key and property the best of the rules that need nothing else, `_others` the rest by key.
    """

    _by_key: dict[tuple[str, str], Rule] = field(default_factory=dict)
    _others: dict[str, list[Rule]] = field(default_factory=dict)
    _open: list[Element] = field(default_factory=list)
    _count: int = 0
    _budget: int = BUDGET

    @classmethod
    def of(cls, sheets: Iterable[str]) -> StyleSheets:
        """Return the rules of the sheets of a page, in their order."""
        found, left = cls(), LONGEST_SHEET
        for sheet in sheets:
            for selectors, declarations in itertools.islice(_rules(sheet[:left]), RULES):
                found._add(selectors, declarations)
            left = max(0, left - len(sheet))
        return found

    def _add(self, selectors: str, body: str) -> None:
        says = list(declarations(body))
        for text in _split(selectors, ",") if says else ():
            selector = _selector(text)
            for name, hides, important in says if selector else ():
                assert selector is not None
                self._count += 1
                rule = Rule(selector, name, hides, (important, 0, *selector.specificity, self._count))
                if selector.is_exact or not hides:
                    self._index(rule)

    def _index(self, rule: Rule) -> None:
        last = rule.selector.compounds[0]
        if len(rule.selector.compounds) == 1 and last.is_key:
            place = (last.key, rule.property)
            if place not in self._by_key or self._by_key[place].priority < rule.priority:
                self._by_key[place] = rule
        else:
            self._others.setdefault(last.key, []).append(rule)

    def __bool__(self) -> bool:
        return self._count > 0

    def open(self, element: Element) -> None:
        """Note that an element opens, inside of those that are open."""
        if self._others:
            self._open.append(element)

    def close(self) -> None:
        """Note that the innermost open element closes."""
        if self._others:
            self._open.pop()

    def hides(self, element: Element, style: str, default: bool = False) -> bool:
        """Tell whether an element in those that are open is hidden, by the sheets, its own style, or by default."""
        best: dict[str, tuple[Priority, bool]] = {"display": (NO_PRIORITY, default)}
        for rule in self._matching(element) if self._count else ():
            if rule.priority > best.get(rule.property, (NO_PRIORITY, False))[0]:
                best[rule.property] = rule.priority, rule.hides
        for number, (name, hides, important) in enumerate(declarations(style) if style else ()):
            priority: Priority = (important, 1, 0, 0, 0, number)
            if priority > best.get(name, (NO_PRIORITY, False))[0]:
                best[name] = priority, hides
        return any(hides for _, hides in best.values())

    def _matching(self, element: Element) -> Iterator[Rule]:
        if self._budget <= 0:
            return
        keys = ["*", element.name, *(f".{each}" for each in element.classes), f"#{element.id}"]
        for key in keys:
            for name in HIDING:
                if rule := self._by_key.get((key, name)):
                    yield rule
            for rule in self._others.get(key, ()):
                if self._matches(rule.selector, element):
                    yield rule

    def _matches(self, selector: Selector, element: Element) -> bool:
        self._budget -= 1
        return self._budget > 0 and selector.compounds[0].matches(element) and self._above(selector, 1, len(self._open))

    def _above(self, selector: Selector, number: int, end: int) -> bool:
        """Tell whether the rest of a chain, from a number on, is among the first `end` of the open elements."""
        if number == len(selector.compounds):
            return True
        lowest = max(0, end - 1) if selector.is_child[number - 1] else 0
        for place in range(end - 1, lowest - 1, -1):
            self._budget -= 1
            if self._budget <= 0:
                return False
            if selector.compounds[number].matches(self._open[place]) and self._above(selector, number + 1, place):
                return True
        return False


def declarations(body: str) -> Iterator[tuple[str, bool, bool]]:
    """Yield what declarations say of hiding: the property, whether it hides, and whether that is important."""
    for declaration in body.split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), value.strip().lower()
        if name in HIDING and value:
            word = value.removesuffix("important").rstrip("! ")
            if word not in ("inherit", "unset", "revert"):
                yield name, word in HIDING[name], value.endswith("important")
        elif name == "mso-hide" and value.startswith("all"):
            yield "display", True, False


# Reading a sheet


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """Yield the selectors and declarations of the rules that are for this screen."""
    groups, barred = list[bool](), 0  # whether each group that is open holds, and how many do not
    selectors, body, text = "", list[str](), list[str]()
    for match in PIECE_OF_SHEET.finditer(COMMENT.sub(" ", sheet)):
        piece = match[0]
        if piece not in ("{", "}", ";"):
            text.append(piece)
            continue
        before, text = "".join(text).strip(), []
        if piece == "{" and (selectors or barred or before.startswith("@")):  # a rule in a rule is not applied
            groups.append(not selectors and not barred and _applies(before))
            barred += not groups[-1]
        elif piece == "{":
            selectors, body = before or "-", []
        elif selectors and not barred:
            body.append(before)
            if piece == "}":
                yield selectors, ";".join(body)
                selectors = ""
        elif piece == "}" and groups:
            barred -= not groups.pop()


def _applies(rule: str) -> bool:
    """Tell whether what is in an at-rule holds on this screen."""
    name, _, condition = rule[1:].partition(" ")
    name, bracket, more = name.lower().partition("(")
    if name not in GROUPS:
        return False
    return name != "media" or applies_to_screen(f"{bracket}{more} {condition}")


def applies_to_screen(media: str) -> bool:
    """Tell whether a list of media queries names this screen."""
    return any(map(_is_screen, media.lower().split(",")))


def _is_screen(query: str) -> bool:
    medium = CONDITION.sub("", query).replace("only", "").replace("and", "").split()
    if medium == ["not", "print"]:
        return True
    return medium in ([], ["all"], ["screen"]) and all(map(_holds, CONDITION.findall(query)))


def _holds(condition: str) -> bool:
    condition = "".join(condition.split())
    if condition in ALWAYS:
        return True
    if not (found := WIDTH_BOUND.fullmatch(condition)):
        return False
    end, size, unit, sign, other_size, other_unit = found.groups()
    width = float(size or other_size) * (1 if (unit or other_unit) == "px" else EM)
    return width <= WIDTH if end == "min" or (sign or "").startswith(">") else width >= WIDTH


def _split(text: str, separator: str) -> Iterator[str]:
    """Yield the parts between separators that are not in brackets."""
    depth, begin = 0, 0
    for at, character in enumerate(text):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == separator and depth <= 0:
            yield text[begin:at]
            begin = at + 1
    yield text[begin:]


def _selector(text: str) -> Selector | None:
    """Return a selector; None for one that matches nothing on a page that nobody points at, or is not one."""
    text, at = text.strip(), 0
    compounds, is_child, is_exact = list[Compound](), list[bool](), True
    while at < len(text) and len(compounds) < LONGEST_CHAIN:
        compound, at = _compound(text, at)
        between = COMBINATOR.match(text, at)
        if compound is None or (at < len(text) and between is None):
            return None
        compounds.append(compound)
        at = between.end() if between else at
        if between and between[1] in ("+", "~"):  # what is before is not around what follows: leave it out
            compounds, is_child, is_exact = [], [], False
        elif between:
            is_child.append(between[1] == ">")
    if not compounds or at < len(text) or len(is_child) >= len(compounds):
        return None
    is_exact = is_exact and all(each.is_exact for each in compounds)
    return Selector(tuple(reversed(compounds)), tuple(reversed(is_child)), is_exact)


def _compound(text: str, at: int) -> tuple[Compound | None, int]:
    """Return the compound at a place, and where it ends; None for one that matches nothing."""
    name, ids, classes = "", set[str](), set[str]()
    attributes, excluded, is_exact, begin = list[Attribute](), list[Compound](), True, at
    while piece := PIECE.match(text, at):
        at = piece.end()
        tag, id, kind, attribute, operator, *values, pseudo, inner = piece.groups()
        if tag:
            name = "" if tag == "*" else _plain(tag).lower()
        elif id or kind:
            (ids if id else classes).add(_plain(id or kind))
        elif attribute:
            attributes.append(Attribute(_plain(attribute).lower(), operator or "", next(filter(None, values), "")))
        elif pseudo.startswith("::") or pseudo.lower() in WAITING:
            return None, at
        elif pseudo.lower() == ":root":
            name = "html"
        elif not _exclude(pseudo, inner, excluded):
            is_exact = False
    if at == begin:
        return None, at
    return Compound(name, frozenset(ids), frozenset(classes), tuple(attributes), tuple(excluded), is_exact), at


def _exclude(pseudo: str, inner: str | None, excluded: list[Compound]) -> bool:
    """Add what `:not()` excludes; return False for any other pseudo-class, and what is too complicated."""
    if pseudo.lower() != ":not" or not inner or ":" in inner:
        return False
    for text in inner.split(","):
        compound, end = _compound(text.strip(), 0)
        if compound is None or end < len(text.strip()):
            return False
        excluded.append(compound)
    return True


def _plain(name: str) -> str:
    """Return a name without its escapes."""
    return ESCAPE.sub(lambda found: chr(min(int(found[1], 16), 0xFFFD)) if found[1] else found[2], name)
