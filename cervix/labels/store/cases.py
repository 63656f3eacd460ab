"""What is put before readers: a tile of a slide or a woman's visits, with all that training needs of it."""

import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle import Bundle
from cervix.bundle.manifest import Model, ModelKind
from cervix.errors import LabelRefused, SlideNotReadable
from cervix.sources.decoders import foreign_picture
from cervix.sources.plane import FilePlane

Kind = Literal["tile", "patient"]


@dataclass(frozen=True)
class CaseKind:
    """What can be put before readers.

    Attributes
    ----------
    title, words : str
        For people: as a choice, and in a sentence.
    groups, source : str
        What cases of it come from, which folds keep whole, and what that is read from.
    model_kind : str
        Kind of the model whose score of a case counts, whose embedding stands for it (512 numbers of a tile, the LSTM's state
        of a woman), and which its labels retrain.
    """

    title: str
    words: str
    groups: str
    source: str
    model_kind: ModelKind


KINDS: dict[Kind, CaseKind] = {
    "tile": CaseKind("Tiles", "tiles", "slides", "slide", "tile"),
    "patient": CaseKind("Women", "women", "women", "table", "sequence"),
}
"""Every kind of case by its id: the one list that store, desk, pages and trainer go by."""
TILE_SIDE_AT_MOST_PX = 1024
"""Of what may come with a backup from elsewhere; models read tiles of 224 to 512 px."""
PATIENT_LABELS = ("no", "yes")
"""What a woman can be labelled as: whether the outcome of the history model's main question came about after the last visit
of her history, by what her file says afterwards."""
VISITS, AFTER = "visits", "after"
"""In the content of a woman: her history, which models read, and what came after it, which only readers see."""


@dataclass(frozen=True)
class Case:
    """A case as the store keeps it. ``tile_case`` and ``patient_case`` make them.

    Attributes
    ----------
    id : str
        ``tile:<slide sha256>:<x>:<y>:<size>`` or ``patient:<table sha256>:<pseudonymous key>``: the same thing has the same
        id wherever it is added.
    source : str
        SHA-256 of the slide or table.
    group_id : str
        The independent unit, for splits and intervals: the slide or the woman.
    content : bytes
        A tile as the model saw it, a square RGB picture as PNG; a woman's visits as JSON (UTF-8).
    x_l0_px, y_l0_px, size_l0_px : int or None
        Where the tile lies on level 0; None for a woman.
    spacing_um_px : float or None
        Micrometres per pixel of the tile as the model sees it.
    file_plane : dict or None
        How level-0 pixels lie on the pixels of the slide's file, as ``FilePlane`` says it: what QuPath needs.
    """

    id: str
    kind: Kind
    source: str
    group_id: str
    content: bytes
    x_l0_px: int | None = None
    y_l0_px: int | None = None
    size_l0_px: int | None = None
    spacing_um_px: float | None = None
    file_plane: dict[str, float] | None = None

    @property
    def content_sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def picture(self) -> NDArray[np.uint8]:
        """Pixels of a tile, ``(side, side, 3)`` RGB.

        Raises ``LabelRefused`` for content that is not such a picture: it may have come with a backup from elsewhere.
        """
        try:
            with foreign_picture(io.BytesIO(self.content)) as opened:
                if opened.width == opened.height <= TILE_SIDE_AT_MOST_PX:
                    return np.asarray(opened.convert("RGB"))
                found = f"{opened.width:,} × {opened.height:,} px"
        except SlideNotReadable as error:
            found = error.found
        raise LabelRefused(
            "The picture of a case is damaged", expected=f"a square PNG, {TILE_SIDE_AT_MOST_PX:,} px at most", found=found
        )

    @property
    def visits(self) -> Any:
        """What was encoded of a woman's visits, up to the one that is asked about."""
        return history_in(self.content)

    @property
    def after(self) -> Any:
        """What her file says afterwards; None of a woman who was gathered before that was kept."""
        content = json.loads(self.content)
        return content[AFTER] if _has_outcome(content) else None


def history_in(content: bytes) -> Any:
    """The history in the content of a woman, without what came afterwards."""
    told = json.loads(content)
    return told[VISITS] if _has_outcome(told) else told


def _has_outcome(content: Any) -> bool:
    return isinstance(content, dict) and set(content) == {VISITS, AFTER}


@dataclass(frozen=True)
class Score:
    """What one model of one bundle makes of a case.

    Attributes
    ----------
    probabilities : by class, each 0 to 1
    embedding : (dimensions,) float32, or None
    novelty : distance from the training data, or None
    disagreement : BALD, mutual information of label and weights in nats (Houlsby et al. 2011, arXiv:1112.5745), or None
    """

    case_id: str
    model_id: str
    bundle_sha256: str
    bundle_version: str
    probabilities: Mapping[str, float]
    embedding: NDArray[np.float32] | None = None
    novelty: float | None = None
    disagreement: float | None = None


@dataclass(frozen=True)
class Scorer:
    """Whose score of a case counts: one model of one bundle."""

    bundle_sha256: str
    bundle_version: str
    model_id: str


def scorer_of(bundle: Bundle, kind: Kind) -> Scorer:
    """The model of a bundle whose scores of a kind of case count; ``BundleError`` where it has none."""
    return Scorer(bundle.sha256, bundle.manifest.version, bundle.manifest.first_of(KINDS[kind].model_kind).id)


def tile_id(slide_sha256: str, x_l0_px: int, y_l0_px: int, size_l0_px: int) -> str:
    """The id of the case that this tile is."""
    return f"tile:{slide_sha256}:{x_l0_px}:{y_l0_px}:{size_l0_px}"


def tile_case(
    slide_sha256: str,
    x_l0_px: int,
    y_l0_px: int,
    size_l0_px: int,
    spacing_um_px: float,
    pixels: NDArray[np.uint8],
    plane: FilePlane | None = None,
) -> Case:
    """The case of one tile.

    Parameters
    ----------
    pixels : (side, side, 3) uint8, RGB
        The tile as the model sees it; at most ``TILE_SIDE_AT_MOST_PX``.
    plane : FilePlane, optional
        The slide's; without it labels go to QuPath in level-0 pixels.

    Raises
    ------
    LabelRefused
        If the pixels have another shape or type, or the scale is not a positive number.
    """
    side = min(len(pixels), TILE_SIDE_AT_MOST_PX)
    if pixels.shape != (side, side, 3) or pixels.dtype != np.uint8:
        raise LabelRefused(
            "The tile is not what a slide model reads",
            expected=f"uint8 ({side}, {side}, 3)",
            found=f"{pixels.dtype} {pixels.shape}",
        )
    if not (math.isfinite(spacing_um_px) and spacing_um_px > 0):
        raise LabelRefused("The scale of the tile is not one", expected="micrometres per pixel > 0", found=f"{spacing_um_px}")
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="PNG")
    return Case(
        tile_id(slide_sha256, x_l0_px, y_l0_px, size_l0_px),
        "tile",
        slide_sha256,
        slide_sha256,
        png.getvalue(),
        x_l0_px,
        y_l0_px,
        size_l0_px,
        spacing_um_px,
        plane.model_dump() if plane is not None else None,
    )


def case_pixels(cases: Iterable[Case], model: Model) -> NDArray[np.uint8]:
    """What a tile model reads of these cases: ``(n, size, size, 3)`` uint8, RGB.

    Raises
    ------
    LabelRefused
        If a tile has another size than the model reads: it was cut for another model.
    """
    if model.tiles is None:
        raise ValueError(f"model {model.id!r} reads no tiles")
    size = model.tiles.size_px
    pictures = [case.picture for case in cases]
    for picture in pictures:
        if len(picture) != size:
            raise LabelRefused(
                "A tile has another size than the slide model reads",
                expected=f"{size} × {size} px",
                found=f"{len(picture)} × {len(picture)} px",
                action="Gather tiles of its slide again with this bundle.",
            )
    return np.stack(pictures)


def patient_case(table_sha256: str, key: str, visits: Any, *, woman: str = "") -> Case:
    """The case of one woman.

    Parameters
    ----------
    key : str
        A pseudonym, and of which of her visits; never a name or a number from a register.
    visits
        Anything that JSON can say; the same content gives the same bytes. ``{VISITS: …, AFTER: …}`` holds what came
        afterwards apart from her history.
    woman : str
        Her pseudonym alone, where the key says more.
    """
    content = json.dumps(visits, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    place = f"patient:{table_sha256}:"
    return Case(f"{place}{key}", "patient", table_sha256, f"{place}{woman or key}", content)
