"""XML of strangers: parsed without entities, without the network, no deeper than the parser's limit."""

from __future__ import annotations

from typing import Any

from extractor.readers._support.limits import damaged

Element = Any


def parse(data: bytes, what: str, is_deep: bool = False) -> Element:
    """Return the root of a part of `what`. Raises ReadError where it is not well-formed.

    The parser's own limits hold (256 elements deep, 10 MB of text in one place), unless it may be deep.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True, huge_tree=is_deep
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise damaged(what, error) from error


def name_of(element: Element) -> str:
    """Return the name of an element without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, wanted: str) -> str | None:
    """Return an attribute, whatever its namespace."""
    return next((value for name, value in element.attrib.items() if name.rpartition("}")[2] == wanted), None)
