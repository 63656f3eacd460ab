"""Settings of drawn tissue, searched until a model answers as the drawing is meant.

This makes the model's answer on a sample slide true by construction: it shows how the app works and nothing about the model.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import MANIFEST_NAME, Manifest, Model
from cervix.bundle.sessions import CPU_PROVIDER, ModelSession, open_session
from cervix.errors import BundleError
from cervix.files import replacing, sha256_of
from cervix.slides.decision import SlideAnswer, decide
from cervix.slides.drawn.look import LOOK_FIELDS, TABLE, Look, looks
from cervix.slides.drawn.slides import DRAWN_SLIDES, JPEG_QUALITY, SPACING_UM_PX, DrawnSlide
from cervix.slides.drawn.tissues import TISSUES
from cervix.slides.grid import lay_grid
from cervix.slides.pyramid import write_pyramid
from cervix.slides.tissue import find_tissue
from cervix.sources.opening import open_slide
from training.slide.drawn.tiles import drawn_tiles

Log = Callable[[str], None]
ENTRY_NAME = "model.json"
RANGES: dict[str, tuple[float, float]] = {
    "nucleus_stain": (0.42, 0.72), "nucleus_rim": (0.05, 0.2), "nucleus_pallor": (0.2, 0.4), "nucleolus": (0.05, 0.3),
    "nucleus_size": (0.85, 1.2), "crowding": (0.75, 1.35), "outline": (0.02, 0.07), "border_pallor": (0.35, 0.9),
    "haematoxylin": (0.8, 1.25), "eosin": (0.7, 1.2), "warmth": (0.3, 0.5), "texture": (0.04, 0.2),
    "coarse_texture": (0.05, 0.2), "chromatin": (0.05, 0.3), "fine_texture": (0.0, 0.03), "warp_px": (0.3, 1.1),
    "blur_px": (0.7, 1.4),
}  # fmt: skip
"""Narrow enough that a pathologist still sees the tissue; stains nearly alike, because tissues share a slide."""
WANTED = {
    "squamous-carcinoma": "scc", "adenocarcinoma": "ac", "squamous-mucosa": "benign", "glandular-mucosa": "benign",
}  # fmt: skip
"""The class that each tissue is drawn to be."""
FIELDS_A_TRIAL = 2
FREE_SHARE = 0.3
"""Of the trials are drawn anew from ``RANGES``; the others stray from the best so far by ``STEP`` of the range."""
STEP = 0.15
SAFE_SHARE = 0.85
"""Novelty above this share of its limit costs: a slide has tiles that its field did not show."""
NOVELTY_COST = 3.0


@dataclass(frozen=True)
class Answering:
    """A tile model, ready to run on the CPU."""

    session: ModelSession
    sha256: str

    @property
    def model(self) -> Model:
        return self.session.model

    def __call__(self, tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Tiles ``(n, size, size, 3)`` -> probabilities ``(n, classes)`` and novelty ``(n,)``."""
        step = self.session.batch_size
        answers = [
            self.session.run({"tiles": tiles[first : first + step]}, ["probabilities", "novelty"])
            for first in range(0, len(tiles), step)
        ]
        probabilities, novelty = (np.concatenate([answer[name] for answer in answers]) for name in ("probabilities", "novelty"))
        return probabilities.astype(np.float64), novelty.astype(np.float64)


def answering(folder: Path) -> Answering:
    """The tile model of a bundle, or of a training run that has written ``model.json`` beside its variants and no manifest.

    Raises
    ------
    BundleError
        If there is no tile model for a CPU.
    """
    whole, entries = folder / MANIFEST_NAME, sorted(folder.glob(f"*/{ENTRY_NAME}"))
    if whole.is_file():
        models = Manifest.model_validate_json(whole.read_bytes()).models
    else:
        models = [Model.model_validate_json(entry.read_bytes()) for entry in entries]
    for model in models:
        for variant in model.variants:
            if model.kind == "tile" and variant.runs_on == "cpu":
                path = folder / variant.file
                session = open_session(path.read_bytes(), CPU_PROVIDER)
                return Answering(ModelSession(model, variant, session, CPU_PROVIDER), sha256_of(path))
    raise BundleError(
        "There is no tile model to tune to", expected=f"{whole} or a folder with {ENTRY_NAME}", found="none for a CPU"
    )


def worth(probabilities: NDArray[np.float64], novelty: NDArray[np.float64], model: Model, wanted: str) -> float:
    """How well a model answers tiles of a tissue: the mean probability of its class, less what novelty costs. At most 1.

    Parameters
    ----------
    probabilities : (n, classes)
    novelty : (n,)
    """
    right = probabilities[:, model.class_ids.index(wanted)]
    strange = np.clip(novelty / model.abstention_limit("novelty") - SAFE_SHARE, 0, 1)
    return float((right - NOVELTY_COST * strange).mean())


def tune(model: Answering, tissue: str, trials: int, seed: int, table: Path, log: Log) -> tuple[Look, float]:
    """Search one tissue's look. Returns the best and what it is worth.

    Every trial is a row of ``table`` (CSV) as soon as it is done; the search goes on after those that are there.
    """
    tiles_of = model.model.tiles
    if tiles_of is None:
        raise ValueError("the slide model declares no tiles")
    done: list[dict[str, float]] = []
    if table.is_file():
        done = [{str(key): float(value) for key, value in row.items()} for row in pd.read_csv(table).to_dict("records")]
    for trial in range(len(done), trials):
        rng = np.random.default_rng([seed, list(TISSUES).index(tissue), trial])
        look = _other(_best(done), rng) if done else _within_ranges(looks()[tissue])
        # The same fields for every trial, so that looks are compared and not layouts.
        fields = [drawn_tiles(tissue, look, seed + number, tiles_of.size_px) for number in range(FIELDS_A_TRIAL)]
        probabilities, novelty = model(np.concatenate(fields))
        found = worth(probabilities, novelty, model.model, WANTED[tissue])
        known = model.model.is_recognised(novelty, probabilities)
        top = probabilities.argmax(axis=1)
        told = {name: float((known & (top == place)).sum()) for place, name in enumerate(model.model.class_ids)}
        done.append({"worth": found, **asdict(look), **told, "not recognised": float((~known).sum())})
        with replacing(table) as temporary:
            pd.DataFrame(done).to_csv(temporary, index=False)
        if found >= max(row["worth"] for row in done):
            log(f"{tissue}, trial {trial}: {found:.3f} {told}, {(~known).sum()} of {len(known)} not recognised")
    return _best(done), max(row["worth"] for row in done)


def _best(done: list[dict[str, float]]) -> Look:
    row = max(done, key=lambda row: row["worth"])
    return Look(**{name: row[name] for name in LOOK_FIELDS})


def _other(look: Look, rng: np.random.Generator) -> Look:
    if rng.random() < FREE_SHARE:
        return Look(**{name: round(rng.uniform(low, high), 3) for name, (low, high) in RANGES.items()})
    strayed = {name: getattr(look, name) + rng.normal(0, STEP * (high - low)) for name, (low, high) in RANGES.items()}
    return _within_ranges(Look(**strayed))


def _within_ranges(look: Look) -> Look:
    return Look(**{name: round(float(np.clip(getattr(look, name), *limits)), 3) for name, limits in RANGES.items()})


def tune_all(model: Answering, trials: int, seed: int, out_dir: Path, log: Log, *, write: bool) -> None:
    """Search every tissue's look for a model, and put the best into the table of settings if they shall be written."""
    folder = out_dir / model.sha256[:12]
    best = {tissue: tune(model, tissue, trials, seed, folder / f"{tissue}.csv", log) for tissue in TISSUES if trials}
    if write and best:
        tuned_to = f"{model.model.id} of SHA-256 {model.sha256[:12]}…, {trials} trials a tissue"
        write_looks({tissue: look for tissue, (look, _) in best.items()}, tuned_to)


def write_looks(found: Mapping[str, Look], tuned_to: str, path: Path = TABLE) -> None:
    """Write the table of settings (``cervix.slides.drawn.look``)."""
    lines = ["# What drawn tissues look like (cervix/slides/drawn/look.py). Written by `python -m training drawn-settings`."]
    lines.append(f'tuned_to = "{tuned_to}"')
    for tissue, look in found.items():
        lines += ["", f"[tissues.{tissue}]", *(f"{name} = {value:g}" for name, value in asdict(look).items())]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def answers_table(model: Answering, fresh: int, log: Log) -> pd.DataFrame:
    """What the model answers on each sample slide and on ``fresh`` others of its kind: one row a slide."""
    rows = []
    for slide in DRAWN_SLIDES:
        for seed in (slide.seed, *range(1000, 1000 + fresh)):
            answer = answer_of(model, slide, seed)
            rows.append(
                {
                    "slide": slide.title, "seed": seed, "verdict": answer.verdict, "answer": answer.headline,
                    "tiles": answer.tiles, "not recognised": answer.unrecognised_tiles,
                    "called cancerous": answer.cancerous_tiles, **answer.class_tiles,
                }
            )  # fmt: skip
            log(str(rows[-1]))
    return pd.DataFrame(rows)


def answer_of(model: Answering, slide: DrawnSlide, seed: int) -> SlideAnswer:
    """The answer of a drawn slide, by the way that the app takes: a file, its tissue, its grid, its tiles."""
    tiles = model.model.tiles
    if tiles is None:
        raise ValueError("the slide model declares no tiles")
    with TemporaryDirectory() as folder:
        path = Path(folder) / slide.file_name
        write_pyramid(path, slide.pixels(seed), SPACING_UM_PX, jpeg_quality=JPEG_QUALITY)
        opened = open_slide(path)
        grid = lay_grid(opened, find_tissue(opened), tiles)
        pixels = np.stack(
            [
                opened.read_tile(int(x), int(y), grid.level, grid.size_level_px, grid.size_px)
                for x, y in zip(grid.x_l0_px, grid.y_l0_px, strict=True)
            ]
        )
    return decide(*model(pixels), model.model)
