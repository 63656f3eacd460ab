"""Labelled tiles from whole slides, cut by the same code that the app uses for scoring."""

import hashlib
import json
import posixpath
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from PIL import Image

from cervix.bundle.manifest import TileInput
from cervix.errors import CervixError, SlideNotReadable, SlideNotSuitable
from cervix.files import replacing
from cervix.slides.grid import lay_grid
from cervix.slides.quality import measure_quality
from cervix.slides.tissue import find_tissue
from cervix.sources.opening import open_slide
from training.data.tissue.tiles import INDEX_COLUMNS
from training.shared.stages import Log

FAILED_SHARE_LIMIT = 0.1
RECORD_NAME = "slide.json"
SLIDES_NAME = "slides.csv"


class SlideTilesError(CervixError, ValueError, code="slide-tiles-refused"):
    """Raised when a list of slides cannot be turned into labelled tiles."""


@dataclass(frozen=True)
class Cutting:
    """The settings that determine the tiles of a slide. A slide cut with other settings is cut again.

    Attributes
    ----------
    spacing_um_px : float
        Micrometres per pixel of the tiles.
    cap_per_slide : int
        Most tiles per slide, spread over the tissue.
    """

    spacing_um_px: float
    size_px: int
    cap_per_slide: int


@dataclass(frozen=True)
class CutSlide:
    """The result for one slide: positions of its tiles on level 0, or why there are none.

    ``file`` is the size in bytes and the time of change in ns, which reveal a replaced file.
    """

    path: str
    label: str
    source_group: str
    folder: str
    cutting: Cutting
    file: list[int]
    tiles: list[tuple[int, int]]
    laid: int
    rejected: dict[str, int]
    problem: str


@dataclass(frozen=True)
class CutReport:
    """The outcome of a run.

    Attributes
    ----------
    index : path of the written ``index.csv``
    slides : one row a slide
    not_there : number of slides listed without a file (not downloaded yet)
    """

    index: Path
    slides: list[CutSlide]
    not_there: int


def cut_tiles(
    manifest_csv: Path,
    out_dir: Path,
    *,
    spacing_um_px: float = 0.5,
    size_px: int = 224,
    cap_per_slide: int = 200,
    log: Log,
) -> CutReport:
    """Cut tiles of every listed slide and write ``index.csv`` (tiles) and ``slides.csv`` (slides).

    Tissue, grid and reading are those of the app, in the app's order. Any first part of it covers the tissue evenly, so the
    cap favours no corner. Blank, inked and blurred tiles are left out. A slide finished before with the same settings is not
    cut again; one that was interrupted, failed or replaced is cut from the start. There is no index during a run, so that
    nobody trains on half of the tiles.

    Parameters
    ----------
    manifest_csv : Path
        With ``path`` (relative to its folder; empty if there is no file yet), ``label`` and ``source_group``.

    Raises
    ------
    SlideTilesError
        If the list is not valid: columns or entries missing, a slide listed twice, a patient in two classes, or no slide file.
        If the tiles cannot be written, for example on a full disk. At the end, if more than a tenth of the slides gave no
        tiles. Tiles that were cut are kept.
    """
    listed = read_slide_list(manifest_csv)
    if manifest_csv.resolve() in ((out_dir / "index.csv").resolve(), (out_dir / SLIDES_NAME).resolve()):
        raise SlideTilesError(
            "The list of slides would be written over", expected="another folder for the tiles", found=str(manifest_csv)
        )
    there = listed[listed["path"] != ""]
    log(f"{len(there)} slides to cut, {len(listed) - len(there)} listed without a file")
    if there.empty:
        raise SlideTilesError(
            "There is no slide to cut",
            expected=f"at least one path in {manifest_csv.name}",
            found=f"{len(listed)} rows without a file",
            action="Download slides first.",
        )
    if (out_dir / "index.csv").exists() and not (out_dir / SLIDES_NAME).exists():
        raise SlideTilesError(
            "The folder holds tiles that were not cut here",
            expected="an empty folder, or one of an earlier run",
            found=str(out_dir / "index.csv"),
            action="Choose another folder.",
        )
    cutting = Cutting(spacing_um_px, size_px, cap_per_slide)
    report = CutReport(out_dir / "index.csv", [], len(listed) - len(there))
    try:
        report.index.unlink(missing_ok=True)
        for number, row in enumerate(there.itertuples(index=False), start=1):
            slide = _cut_one(manifest_csv.parent, str(row.path), str(row.label), str(row.source_group), out_dir, cutting)
            rejected = ", ".join(f"{count} {reason}" for reason, count in slide.rejected.items())
            outcome = slide.problem or f"{len(slide.tiles)} tiles kept of {slide.laid} laid; left out: {rejected or 'none'}"
            log(f"{number} of {len(there)}: {outcome}")
            report.slides.append(slide)
        _write_tables(report, out_dir)
    except OSError as error:
        raise SlideTilesError(
            "The tiles cannot be written",
            expected=f"a folder with room at {out_dir}",
            found=str(error),
            action="Make room and start again; finished slides are not cut again.",
        ) from error
    slides = report.slides
    failed = [slide for slide in slides if slide.problem]
    if len(failed) > FAILED_SHARE_LIMIT * len(slides):
        raise SlideTilesError(
            "Too many slides gave no tiles",
            expected="at most a tenth of them",
            found=f"{len(failed)} of {len(slides)}, e.g. {failed[0].path}: {failed[0].problem}",
            action=f"The others are in {report.index}.",
        )
    return report


def tile_paths(slide: CutSlide, out_dir: Path) -> list[Path]:
    """Where the tiles of a slide lie, in their order."""
    return [out_dir / slide.folder / _tile_name(x, y) for x, y in slide.tiles]


def read_slide_list(manifest_csv: Path) -> pd.DataFrame:
    """The list of slides, checked before the work starts."""
    if not manifest_csv.is_file():
        raise SlideTilesError("No list of slides", expected=str(manifest_csv), found="no such file")
    try:
        listed = pd.read_csv(manifest_csv, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise SlideTilesError("The list of slides cannot be read", expected="a CSV file", found=str(error)) from error
    if missing := sorted(set(INDEX_COLUMNS) - set(listed.columns)):
        raise SlideTilesError(
            "The list of slides lacks columns", expected=", ".join(INDEX_COLUMNS), found=f"no {', '.join(missing)}"
        )
    there = listed["path"] != ""
    for column in ("label", "source_group"):
        if (empty := there & (listed[column].str.strip() == "")).any():
            raise SlideTilesError(
                f"A slide has no {column}",
                expected=f"a {column} for every file",
                found=f"none for {listed.loc[empty, 'path'].iloc[0]}",
            )
    for label in listed.loc[there, "label"].unique():
        if label.startswith(".") or "/" in label or "\\" in label:
            raise SlideTilesError("A label cannot name a folder", expected="a name without / and \\", found=label)
    paths = listed.loc[there, "path"]
    files = paths.map(posixpath.normpath)
    if files.duplicated().any():
        raise SlideTilesError("A slide is listed twice", expected="each path once", found=paths[files.duplicated()].iloc[0])
    labels = listed.groupby("source_group")["label"].nunique()
    if (labels > 1).any():
        raise SlideTilesError(
            "A patient is in two classes", expected="one label per source_group", found=str(labels[labels > 1].index[0])
        )
    return listed


def _cut_one(root: Path, path: str, label: str, group: str, out_dir: Path, cutting: Cutting) -> CutSlide:
    folder = f"{label}/{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    record = out_dir / folder / RECORD_NAME
    file = _identity(root / path)
    finished = _read_record(record) if record.is_file() else None
    if finished and finished.file == file and _is_whole(finished, out_dir) and finished.cutting == cutting:
        return replace(finished, source_group=group)
    if (out_dir / folder).exists():
        shutil.rmtree(out_dir / folder)
    tiles: list[tuple[int, int]] = []
    rejected: Counter[str] = Counter()
    laid, problem = 0, ""
    try:
        slide = open_slide(root / path)
        scale = TileInput(
            size_px=cutting.size_px, spacing_um_px=cutting.spacing_um_px, spacing_source="as asked for", steps_in_graph=[]
        )
        grid = lay_grid(slide, find_tissue(slide), scale)
        laid = len(grid)
        for x, y in zip(grid.x_l0_px.tolist(), grid.y_l0_px.tolist(), strict=True):
            if len(tiles) == cutting.cap_per_slide:
                break
            pixels = slide.read_tile(x, y, grid.level, grid.size_level_px, grid.size_px)
            if flaw := str(measure_quality(pixels[None]).problems[0]):
                rejected[flaw] += 1
                continue
            with replacing(out_dir / folder / _tile_name(x, y)) as temporary:
                Image.fromarray(pixels).save(temporary)
            tiles.append((x, y))
        if not tiles:
            problem = f"none of {laid} tiles is fit: {dict(rejected)}"
    except (SlideNotReadable, SlideNotSuitable) as error:
        problem = str(error)
    cut = CutSlide(path, label, group, folder, cutting, file, tiles if not problem else [], laid, dict(rejected), problem)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(asdict(cut), indent=1), encoding="utf-8")
    return cut


def _identity(path: Path) -> list[int]:
    """Size and time of change. Hashing gigabytes again would take longer than most resumed runs."""
    if not path.is_file():
        return []
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


def _is_whole(slide: CutSlide, out_dir: Path) -> bool:
    """Whether a slide gave tiles and all of them are there. A failed slide is tried again: its download may be complete now."""
    return bool(slide.tiles) and all(path.is_file() for path in tile_paths(slide, out_dir))


def _tile_name(x_l0_px: int, y_l0_px: int) -> str:
    """Write PNG: compressing as JPEG again would make the pixels differ from those that the app scores."""
    return f"{x_l0_px}_{y_l0_px}.png"


def _read_record(record: Path) -> CutSlide | None:
    """None if it was written by another version and does not fit."""
    try:
        stored = json.loads(record.read_text(encoding="utf-8"))
        stored["cutting"] = Cutting(**stored["cutting"])
        stored["tiles"] = [(x, y) for x, y in stored["tiles"]]
        return CutSlide(**stored)
    except (ValueError, TypeError, KeyError):
        return None


def _write_tables(report: CutReport, out_dir: Path) -> None:
    tiles = [
        {
            "path": f"{slide.folder}/{_tile_name(x, y)}",
            "label": slide.label,
            "source_group": slide.source_group,
            "slide": slide.path,
            "x_l0_px": x,
            "y_l0_px": y,
            "spacing_um_px": slide.cutting.spacing_um_px,
        }
        for slide in report.slides
        for x, y in slide.tiles
    ]
    columns = [*INDEX_COLUMNS, "slide", "x_l0_px", "y_l0_px", "spacing_um_px"]
    slides = [
        {"slide": slide.path, "label": slide.label, "source_group": slide.source_group, "tiles laid": slide.laid}
        | {"tiles kept": len(slide.tiles)}
        | {reason: slide.rejected.get(reason, 0) for reason in ("blank", "pen", "blurred")}
        | {"problem": slide.problem}
        for slide in report.slides
    ]
    for path, table in ((out_dir / SLIDES_NAME, pd.DataFrame(slides)), (report.index, pd.DataFrame(tiles, columns=columns))):
        with replacing(path) as temporary:
            table.to_csv(temporary, index=False)
