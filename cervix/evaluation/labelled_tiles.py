"""Labelled tiles that somebody brought, scored with the slide model."""

import io
import tempfile
import zipfile
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle import ModelSession
from cervix.errors import EvaluationError, SlideNotReadable, SlideNotSuitable
from cervix.evaluation.labelled import Labelled
from cervix.evaluation.questions import CaseSet
from cervix.intake.archive import extract_archive
from cervix.patients.csv_text import read_text_table, shown
from cervix.sources.decoders import foreign_picture

UNPACKED_LIMIT_BYTES = 4 << 30
TILES_AT_MOST = 20_000
LARGEST_SIDE_PX = 4096
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
FILE_COLUMNS, LABEL_COLUMNS, GROUP_COLUMNS = ("file", "path", "tile"), ("label", "class"), ("group", "source_group", "slide")
PROBLEMS_SHOWN = 200
LAYOUT = "a zip with one folder a class, or with pictures and a CSV of file, label and, where known, group"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Tile:
    case: str
    label: str
    group: str
    path: Path


def labelled_tiles(archive: bytes, session: ModelSession, *, on_progress: Progress | None = None) -> Labelled:
    """Read a zip of labelled tiles and score every one. Nothing stays on disk.

    Folders: ``<class>/<file>`` or ``<class>/<group>/<file>``. CSV: ``file``, ``label`` and ``group``, beside or above the
    pictures. A group is what is independent of the others: a patient, a slide, a source image.

    Raises
    ------
    UploadRefused
        If the archive is damaged, too large or leads out of itself.
    EvaluationError
        If it holds no labelled tile of a class of the model.
    """
    tiles_of = session.model.tiles
    if tiles_of is None:
        raise ValueError(f"model {session.model.id!r} reads no tiles")
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "tiles.zip"
        packed.write_bytes(archive)
        members = extract_archive(packed, Path(folder) / "members", UNPACKED_LIMIT_BYTES)
        problems: list[str] = []
        tiles = _listed(members, session.model.class_titles, problems)
        if len(tiles) > TILES_AT_MOST:
            raise EvaluationError("The archive holds too many tiles", expected=f"{TILES_AT_MOST:,}", found=f"{len(tiles):,}")
        return _scored(tiles, session, tiles_of.size_px, problems, on_progress)


def picture_of(archive: bytes, case: str) -> Image.Image:
    """One tile of an archive that ``labelled_tiles`` read, by the name of its case."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        member = next(name for name in opened.namelist() if str(PurePosixPath(name.replace("\\", "/"))) == case)
        with foreign_picture(io.BytesIO(opened.read(member))) as picture:
            return picture.convert("RGB")


def _listed(members: list[tuple[Path, PurePosixPath]], titles: Mapping[str, str], problems: list[str]) -> list[_Tile]:
    """The labelled tiles of an unpacked archive; what cannot be used goes to ``problems``."""
    tables = [(path, place) for path, place in members if place.suffix.lower() == ".csv"]
    pictures = {place: path for path, place in members if place.suffix.lower() in PICTURES}
    if len(tables) > 1:
        raise EvaluationError("The archive holds several tables", expected="one CSV at most", found=f"{len(tables)}")
    spelling = {name.casefold(): label for label, title in titles.items() for name in (label, title)}
    rows = _rows_of_table(*tables[0], pictures) if tables else [_row_of_place(place, spelling) for place in pictures]
    tiles = []
    for place, label, group in rows:
        known = spelling.get(label.strip().casefold())
        if known is None:
            problems.append(f"{shown(str(place))}: class {shown(label)} is not one of {', '.join(titles)}")
        elif place not in pictures:
            problems.append(f"{shown(str(place))}: listed in the table, not in the archive")
        else:
            tiles.append(_Tile(str(place), known, group, pictures[place]))
    if not tiles:
        raise EvaluationError(
            "The archive holds no usable tile",
            expected=f"{LAYOUT}; classes {', '.join(titles)}",
            found=f"{len(pictures):,} pictures" + (f"; {problems[0]}" if problems else ""),
        )
    return tiles


def _row_of_place(place: PurePosixPath, names: Container[str]) -> tuple[PurePosixPath, str, str]:
    """Class and group from folders; folders above the class's, such as that of the archive itself, are passed over."""
    folders = place.parts[:-1]
    at = next((index for index, part in enumerate(folders) if part.casefold() in names), max(len(folders) - 1, 0))
    label = folders[at] if folders else ""
    return place, label, "/".join(folders[at + 1 :]) or str(place)


def _rows_of_table(table: Path, at: PurePosixPath, pictures: dict[PurePosixPath, Path]) -> list[tuple[PurePosixPath, str, str]]:
    text = read_text_table(table)
    columns = {cell.strip().lower(): values for cell, values in zip(text.header, text.columns, strict=True)}

    def column(names: tuple[str, ...]) -> list[str] | None:
        return next((columns[name] for name in names if name in columns), None)

    files, labels, groups = column(FILE_COLUMNS), column(LABEL_COLUMNS), column(GROUP_COLUMNS)
    if files is None or labels is None:
        raise EvaluationError(
            "The table in the archive lacks columns", expected="file and label", found=", ".join(map(shown, text.header[:8]))
        )
    places = [PurePosixPath(file.strip().replace("\\", "/")) for file in files]
    # Paths count from the table, or from the archive's root.
    places = [at.parent / place if at.parent / place in pictures else place for place in places]
    return list(zip(places, labels, groups or [str(place) for place in places], strict=True))


def _scored(
    tiles: list[_Tile], session: ModelSession, size_px: int, problems: list[str], on_progress: Progress | None
) -> Labelled:
    batch = np.zeros((session.batch_size, size_px, size_px, 3), np.uint8)
    rows: list[dict[str, object]] = []
    waiting: list[_Tile] = []
    resized = 0

    def flush() -> None:
        out = session.run({"tiles": batch}, ["probabilities", "novelty"])
        for index, tile in enumerate(waiting):
            rows.append(
                {"case": tile.case, "group": tile.group, "label": tile.label, "novelty": float(out["novelty"][index])}
                | {f"p_{name}": float(p) for name, p in zip(session.model.class_ids, out["probabilities"][index], strict=True)}
            )
        waiting.clear()

    for done, tile in enumerate(tiles, 1):
        try:
            pixels, was_resized = _pixels(tile.path, size_px)
        except (SlideNotReadable, SlideNotSuitable) as error:
            problems.append(f"{shown(tile.case)}: not a tile that can be read ({(error.found or error.problem)[:80]})")
            continue
        resized += was_resized
        batch[len(waiting)] = pixels
        waiting.append(tile)
        if len(waiting) == session.batch_size:
            flush()
        if on_progress:
            on_progress(done, len(tiles))
    if waiting:
        flush()
    if not rows:
        raise EvaluationError("No tile of the archive can be read", expected="PNG, JPEG or TIFF", found=problems[0])
    notices = []
    if resized:
        notices.append(
            f"{resized:,} of {len(rows):,} tiles were resized to {size_px} px: it is not known whether they then have the "
            f"scale that the model was trained at."
        )
    frame = pd.DataFrame(rows)
    if frame["group"].nunique() == len(frame):
        notices.append(
            "No groups were given, so every tile counts as independent. If several tiles come from one slide or patient, the "
            "intervals are too narrow."
        )
    tasks = [task.id for task in session.model.derived_tasks]
    return Labelled(CaseSet("your tiles", frame, session.model.class_ids), problems[:PROBLEMS_SHOWN], notices, tasks)


def _pixels(path: Path, size_px: int) -> tuple[NDArray[np.uint8], bool]:
    """RGB of one tile, and whether it had another size."""
    with foreign_picture(path) as picture:
        found = f"{picture.width} x {picture.height} px"
        if max(picture.size) > LARGEST_SIDE_PX or min(picture.size) < size_px // 2:
            raise SlideNotSuitable(f"A tile of about {size_px} px is expected", found=found)
        if abs(picture.width - picture.height) > 0.02 * picture.width:
            raise SlideNotSuitable("A square tile is expected", found=found)
        rgb = picture.convert("RGB")
    if rgb.size == (size_px, size_px):
        return np.asarray(rgb), False
    method = Image.Resampling.BOX if rgb.width > size_px else Image.Resampling.BICUBIC
    return np.asarray(rgb.resize((size_px, size_px), method)), True
