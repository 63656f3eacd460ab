"""Small things to label."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from sqlalchemy import text

from cervix.labels import Case, LabelEvent, LabelStore, Score, patient_case, tile_case
from tests.bundle.made import FOUR, SHIPPED_CLASSES
from tests.bundle.made.tiles import centres_rgb, tissue_of

SLIDES = ("a" * 64, "b" * 64)
BUNDLE = "f" * 64
TILE_PX = 448
WORDS = SHIPPED_CLASSES
CLASSES = tuple(item.id for item in WORDS)
CONFIDENT = {"benign": 0.98, "scc": 0.01, "ac": 0.01, "other": 0.0}
DOUBTFUL = {"benign": 0.2, "scc": 0.45, "ac": 0.35, "other": 0.0}


@lru_cache
def tiles(count: int = 6) -> tuple[Case, ...]:
    """So many tiles of each of two slides, one colour each."""
    return tuple(
        tile_case(slide, at * TILE_PX, 0, TILE_PX, 0.5, np.full((224, 224, 3), 20 * at % 256, np.uint8))
        for slide in SLIDES
        for at in range(count)
    )


TILES = [case.id for case in tiles()]


def filled(store: LabelStore) -> LabelStore:
    """The store with twelve tiles of two slides and two women."""
    store.declare_classes("tile", CLASSES)
    store.declare_classes("patient", ["no", "yes"])
    store.add_cases(tiles())
    store.add_cases([patient_case("c" * 64, f"w{number}", {"age": [30 + number]}) for number in range(2)])
    return store


def label(store: LabelStore, case: str, reader: str, said: str | None, **more: object) -> int:
    """Record a label, or unsure, unusable or skip."""
    plain = said in ("unsure", "unusable", "skip")
    return store.record(LabelEvent(case, reader, said if plain else "label", None if plain else said, **more))  # type: ignore[arg-type]


def label_four_classes(store: LabelStore, slides: int = 2) -> None:
    """A tile of each class of ``FOUR`` of each of so many slides, labelled rightly."""
    store.declare_classes("tile", [item.id for item in FOUR])
    for at, (item, colour) in enumerate(zip(FOUR, centres_rgb(FOUR), strict=True)):
        for number in range(slides):
            slide = hashlib.sha256(str(number).encode()).hexdigest()
            case = tile_case(slide, 224 * at, 0, 224, 0.5, tissue_of(colour, 224, 224, seed=number))
            store.add_cases([case])
            label(store, case.id, "ann", item.id)


def adjudicate(store: LabelStore, case: str, said: str | None) -> int:
    return store.record(LabelEvent(case, "Prof Old", "adjudicate", said))


def rows_of(store: LabelStore, table: str) -> int:
    with store.database.reading() as connection:
        return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


def scored(store: LabelStore, bundle_sha256: str = BUNDLE, ids: Sequence[str] = TILES) -> LabelStore:
    """Scores of the tiles: of the first slide confident, of the second doubtful."""
    rng = np.random.default_rng(1)
    store.add_scores(
        Score(
            case, "slide", bundle_sha256, "1.2.3", DOUBTFUL if SLIDES[1] in case else CONFIDENT,
            rng.normal(size=8).astype(np.float32), 1.0,
        )
        for case in ids
    )  # fmt: skip
    return store
