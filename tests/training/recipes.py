"""Real tiles and a recipe small enough for a test."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from training.cli import RECIPES_DIR
from training.data.tissue import sources


@contextmanager
def without_pixels() -> Iterator[None]:
    """Sources are read but for their pictures, of which thousands take half a minute: for what rests on their tables alone."""

    def read(paths: Sequence[Path], _size_px: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        return np.zeros((len(paths), 1, 1, 3), np.uint8), np.array([path.is_file() for path in paths])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "read_pixels", read)
        patch.setattr(sources, "stretched", lambda tile, _: tile)
        yield


def tile_folder(data_dir: Path, target: Path, groups_per_class: int) -> Path:
    """One real tile of each of so many source images per class, with their index."""
    source = data_dir / "tiles/lc25000_lung"
    index = pd.read_csv(source / "index.csv", dtype=str).drop_duplicates("source_group")
    index = index.groupby("label").head(groups_per_class)
    for path in index["path"]:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
    index.to_csv(target / "index.csv", index=False)
    return target


SMALL_SOURCES = (
    "lung_lc25000", "oral_rahman_400x_coarse", "colorectal_ebhi_seg", "bone_osteosarcoma_ut", "multiorgan_nuinsseg",
)  # fmt: skip
"""Every class is of two laboratories, so that it is still there without one."""


def small_sources(data_dir: Path, target: Path, table: Path, groups_per_label: int) -> Path:
    """A folder of one real tile of each of so many source groups a label, of five laboratories, and their part of the table."""
    text = (RECIPES_DIR / "tissue.toml").read_text(encoding="utf-8")
    parts = text.split("[[sources]]\n")
    chosen = [part for part in parts if any(f'id = "{name}"' in part for name in SMALL_SOURCES)]
    table.write_text("".join(f"[[sources]]\n{part}" for part in chosen), encoding="utf-8")
    tile_folder(data_dir, target / "lc25000_lung", groups_per_label)
    index = pd.read_csv(data_dir / "tiles/multi_organ.csv", dtype=str)
    index = index[index["dataset"].isin(SMALL_SOURCES) & ~index["note"].str.contains("doubtful")]
    index = index.drop_duplicates(["source_group", "label"]).groupby(["dataset", "label"]).head(groups_per_label)
    for path in index["path"]:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data_dir / "tiles" / path, target / path)
    index.to_csv(target / "multi_organ.csv", index=False)
    return target


def declared_in(name: str) -> str:
    """The tables of a recipe that declare its classes and what the manifest says of its model."""
    text = (RECIPES_DIR / f"{name}.toml").read_text(encoding="utf-8")
    classes = text[text.index("[[classes]]") :].partition("\n[data]")[0]
    return classes + text[text.index("[manifest]") :]


def recipe_with(name: str, target: Path, **values: object) -> Path:
    """A copy of a recipe in which each ``key = …`` line named has another value."""
    text = (RECIPES_DIR / f"{name}.toml").read_text(encoding="utf-8")
    for key, value in values.items():
        text, changed = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        assert changed, f"{name} has no {key}"
    target.write_text(text, encoding="utf-8")
    return target
