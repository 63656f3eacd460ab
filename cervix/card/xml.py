"""The CHAI Applied Model Card of one model as XML."""

import re
import xml.etree.ElementTree as ET

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle, Model
from cervix.card.chai import Part, chai_card
from cervix.plain_text import printable

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
ROOT = "AppliedModelCard"


def chai_xml(bundle: Bundle, model: Model) -> str:
    """An XML document of schema 0.2; every text is escaped by the writer."""
    root = ET.Element(ROOT, xmlns=NAMESPACE)
    # Two hyphens would end the comment; the writer escapes nothing in it.
    label = re.sub("-(?=-)", "- ", printable(bundle.label))
    root.append(ET.Comment(f" {label}. {RESEARCH_NOTICE} "))
    for part in chai_card(bundle, model):
        _add(root, part)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return content.decode() + "\n"


def _add(parent: ET.Element, part: Part) -> None:
    element = ET.SubElement(parent, part.element)
    if isinstance(part.content, str):
        element.text = "\n".join(printable(line) for line in part.content.split("\n"))
    else:
        for child in part.content:
            _add(element, child)
