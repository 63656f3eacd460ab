"""The card in each format it is handed out in, all from the same blocks."""

import tempfile
from pathlib import Path
from typing import Literal, get_args

from cervix.bundle import Bundle
from cervix.card.html import card_html
from cervix.card.markdown import card_blocks, with_front_matter
from cervix.card.pdf import write_card_pdf
from cervix.card.xml import chai_xml
from cervix.errors import BundleError

Format = Literal["md", "html", "pdf", "xml"]
FORMATS: tuple[Format, ...] = get_args(Format)
MIME = {"md": "text/markdown", "html": "text/html", "pdf": "application/pdf", "xml": "application/xml"}


def card_file(bundle: Bundle, kind: Format, model_id: str = "") -> bytes:
    """The card as the bytes of a file.

    Parameters
    ----------
    model_id : str
        The model of the XML; the first where empty.

    Raises
    ------
    BundleError
        If the bundle has no such model.
    """
    if kind == "xml":
        ids = [model.id for model in bundle.manifest.models]
        wanted = model_id or ids[0]
        if wanted not in ids:
            raise BundleError("The bundle has no such model", expected=f"one of {', '.join(ids)}", found=repr(wanted))
        return chai_xml(bundle, bundle.manifest.models[ids.index(wanted)]).encode()
    blocks = card_blocks(bundle)
    if kind == "md":
        return with_front_matter(bundle, blocks).encode()
    if kind == "html":
        return card_html(blocks, f"Model card: {bundle.label}").encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "card.pdf"
        write_card_pdf(blocks, path, footer=bundle.label)
        return path.read_bytes()


def file_name(bundle: Bundle, kind: Format, model_id: str = "") -> str:
    """``model-card-0.4.0-68efbad023.md``, of XML with the model's id."""
    of = f"-{model_id}" if kind == "xml" and model_id else ""
    return f"model-card{of}-{bundle.manifest.version}-{bundle.short_hash}.{kind}"
