"""The card in each format it is handed out in, to read and for other systems."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cervix.bundle import Bundle, Model
from cervix.card.html import card_html
from cervix.card.markdown import card_blocks, with_front_matter
from cervix.card.pdf import write_card_pdf
from cervix.card.xml import chai_xml
from cervix.errors import BundleError
from cervix.interop.fhir.resources import MEDIA_TYPE, VERSIONS, FhirVersion, device_json


@dataclass(frozen=True)
class Format:
    """A format in which the card is handed out.

    Attributes
    ----------
    title : str
        For people.
    media_type : str
    content : (bundle, model) -> bytes
    of_one_model : bool
        Whether it is of one model; the others are of the whole bundle and pass the model over.
    ending : str
        How the file's name ends; the format's id where empty.
    """

    title: str
    media_type: str
    content: Callable[[Bundle, Model], bytes]
    of_one_model: bool = False
    ending: str = ""


def _pdf(bundle: Bundle, _: Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "card.pdf"
        write_card_pdf(card_blocks(bundle), path, footer=bundle.label)
        return path.read_bytes()


def _device(version: FhirVersion) -> Format:
    return Format(
        f"FHIR Device ({version})",
        MEDIA_TYPE,
        lambda bundle, _: device_json(bundle, version).encode(),
        ending=f"{version.lower()}.fhir.json",
    )


FORMATS: dict[str, Format] = {
    "md": Format("Markdown", "text/markdown", lambda bundle, _: with_front_matter(bundle, card_blocks(bundle)).encode()),
    "html": Format(
        "HTML", "text/html", lambda bundle, _: card_html(card_blocks(bundle), f"Model card: {bundle.label}").encode()
    ),
    "pdf": Format("PDF", "application/pdf", _pdf),
    "xml": Format("XML (CHAI)", "application/xml", lambda bundle, model: chai_xml(bundle, model).encode(), of_one_model=True),
    **{f"fhir-{version.lower()}": _device(version) for version in VERSIONS},
}
"""Every format of the card by its id: the one list that page and command line go by."""


def card_file(bundle: Bundle, kind: str, model_id: str = "") -> bytes:
    """The card as the bytes of a file.

    Parameters
    ----------
    kind : one of ``FORMATS``
    model_id : str
        The model of a format that is of one; the first where empty.

    Raises
    ------
    BundleError
        If the bundle has no such model.
    """
    models = {model.id: model for model in bundle.manifest.models}
    wanted = (FORMATS[kind].of_one_model and model_id) or next(iter(models))
    if wanted not in models:
        raise BundleError("The bundle has no such model", expected=f"one of {', '.join(models)}", found=repr(wanted))
    return FORMATS[kind].content(bundle, models[wanted])


def file_name(bundle: Bundle, kind: str, model_id: str = "") -> str:
    """``model-card-0.4.0-68efbad023.md``, of XML with the model's id."""
    of = f"-{model_id}" if FORMATS[kind].of_one_model and model_id else ""
    return f"model-card{of}-{bundle.manifest.version}-{bundle.short_hash}.{FORMATS[kind].ending or kind}"
