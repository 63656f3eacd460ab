"""From cervical slides of a public archive to a candidate bundle, in stages that survive a kill."""

import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from cervix.bundle.manifest import Model, TrainingData
from cervix.files import sha256_of
from cervix.patients.golden import prove_bundle
from training.bundle.candidate import CandidateRefused, assemble_candidate, new_candidate
from training.data.tissue.collecting import CLASSES, Archive, ListedSlide, SlideManifest, choose_slides, fetch_chosen
from training.data.tissue.slide_tiles import CutSlide, cut_tiles, tile_paths
from training.data.tissue.tiles import read_pixels
from training.shared.installation_labels import Labels
from training.shared.stages import Arrays, Log, Stages, digest_of
from training.slide.balance import tile_weights
from training.slide.graph import SlideGraph, TileFeatures, batches
from training.slide.rehearsal import SHIPPED, pixels_sha256
from training.slide.retrain import LabelledTiles, SlideParent, continue_slide, drawn, slide_parent

ArchiveName = Literal["gdc", "idc"]
HOUR_S = 3600.0


@dataclass(frozen=True)
class Estimate:
    """What a run takes at most, from the archive's list and measured speeds.

    Attributes
    ----------
    slides, patients : int
    fetch_gb, disk_gb : float
        Still to be fetched; needed on the disk in all, in 10⁹ bytes.
    hours : step -> hours
    """

    slides: int
    patients: int
    fetch_gb: float
    disk_gb: float
    hours: dict[str, float]

    def lines(self, free_gb: float) -> Iterator[str]:
        """Sentences for people."""
        yield f"{self.slides} slides of {self.patients} patients; {self.fetch_gb:.2f} GB to fetch"
        yield f"disk: {self.disk_gb:.2f} GB in all, {free_gb:.0f} GB free"
        steps = ", ".join(f"{step} {hours:.2f} h" for step, hours in self.hours.items())
        yield f"time: at most about {sum(self.hours.values()):.1f} h ({steps})"


def estimate(manifest: SlideManifest, missing_bytes: int, rehearsed: int, recipe: Mapping[str, Any]) -> Estimate:
    """Foresee a run.

    Parameters
    ----------
    rehearsed : int
        Training tiles of the parent.
    """
    speed, tiles = recipe["speed"], len(manifest.slides) * recipe["tiles"]["cap_per_slide"]
    fits = recipe["slide"]["epochs"] * (recipe["slide"]["folds"] + 1)
    seconds = {
        f"fetching at {speed['download_mb_s']:g} MB/s": missing_bytes / (1e6 * speed["download_mb_s"]),
        "cutting": tiles / speed["cut_tiles_s"],
        "features": tiles / speed["features_tiles_s"],
        "fitting": fits * (rehearsed + tiles) / speed["fit_tiles_s"],
    }
    return Estimate(
        slides=len(manifest.slides),
        patients=len({slide.source_group for slide in manifest.slides}),
        fetch_gb=missing_bytes / 1e9,
        disk_gb=(sum(slide.file_size for slide in manifest.slides) + tiles * speed["tile_kb"] * 1e3) / 1e9,
        hours={step: value / HOUR_S for step, value in seconds.items()},
    )


def make_cervical_candidate(
    archive: Archive, source: ArchiveName, parent_dir: Path, recipe_path: Path, work: Path, candidates: Path, *,
    limit: int | None, smallest: bool, go_on: bool, log: Log, progress: Callable[[str, float, str], None],
) -> str | None:  # fmt: skip
    """Foresee, then fetch slides, cut tiles, read their features, and continue the parent's slide model on them.

    Whatever was finished before is not done again: slides and tiles lie under ``work``, features in ``work/stages``, and the
    candidate's folder is named after everything that it depends on.

    Parameters
    ----------
    candidates : Path
        The folder in which the candidate's is made.
    limit, smallest : as ``choose_slides`` takes them
    go_on : bool
        Whether to go on after the estimate.
    progress : as ``training.bundle.candidate.retrain`` takes it

    Returns
    -------
    str or None
        The candidate's name, version and short hash; None where the run ended with the estimate, or made it before.

    Raises
    ------
    DownloadFailed, SlideTilesError
        If slides cannot be had, or give no tiles.
    CandidateRefused
        If the choice lacks a class, or the parent does not know both.
    BundleError, LabelsTooFew, VariantRefused
        As ``continue_slide``, and if parent or candidate do not prove themselves.
    """
    recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    manifest = choose_slides(archive, work, limit=limit, smallest=smallest, log=log)
    _require_both({slide.label for slide in manifest.slides}, "There is no slide of a class", "Ask for more slides.")
    progress("parent", 0.0, "proving the parent")
    parent = slide_parent(prove_bundle(parent_dir, device="cpu"))
    _require_both(set(parent.model.class_ids), "The parent does not know a class", "Start from another bundle.")
    out = candidates / f"candidate-cervix-{_digest_of_all(manifest.slides, parent, recipe)}"
    rehearsed = drawn(parent.rehearsal, recipe["slide"]["train_tiles"], recipe["seed"])
    foreseen = estimate(manifest, manifest.missing_bytes(archive), len(rehearsed), recipe)
    for line in foreseen.lines(shutil.disk_usage(work).free / 1e9):
        log(line)
    if out.exists():
        log(f"the candidate is there already: {out}")
        return None
    if not go_on:
        log("this was the estimate; nothing was fetched. Go on with --yes")
        return None
    progress("slide", 0.0, "fetching slides")
    fetch_chosen(manifest, archive, log)
    progress("slide", 0.1, "cutting tiles")
    tiles = parent.model.tiles
    if tiles is None:
        raise ValueError(f"model {parent.model.id!r} reads no tiles")
    cut = cut_tiles(
        manifest.path, work / "tiles", spacing_um_px=tiles.spacing_um_px, size_px=tiles.size_px,
        cap_per_slide=recipe["tiles"]["cap_per_slide"], log=log,
    )  # fmt: skip
    labelled = labelled_tiles(
        cut.slides, work / "tiles", parent, len(rehearsed), recipe, Stages(work / "stages", log), progress
    )
    learned = partial(_learned_from, source=source, recipe=recipe)
    with new_candidate(out) as (parts, whole):
        model = continue_slide(
            parent, labelled, "patient", learned, recipe, parts, log, lambda share, what: progress("slide", share, what)
        )
        progress("candidate", 0.9, "assembling and proving the candidate")
        label = assemble_candidate(parent.bundle, {model.id: _with_limits(model, recipe["manifest"])}, parts, whole)
    progress("candidate", 1.0, "done")
    log(f"the candidate is in {out}")
    return label


def labelled_tiles(
    cut: list[CutSlide], folder: Path, parent: SlideParent, rehearsed: int, recipe: Mapping[str, Any], stages: Stages,
    progress: Callable[[str, float, str], None],
) -> LabelledTiles:  # fmt: skip
    """Features of every tile that was cut, slide by slide, with weights by which patients count alike.

    Parameters
    ----------
    folder : where the tiles lie
    rehearsed : int
        Number of the parent's own tiles that are learned from beside them.
    """
    there = [slide for slide in cut if slide.tiles]
    graph, graph_sha256 = parent.graphs[SHIPPED], _sha256_of_shipped(parent)
    parts, rows = [], []
    for number, slide in enumerate(there):
        progress("slide", 0.1 + 0.2 * number / len(there), f"slide: features of slide {number + 1} of {len(there)}")
        depends_on = {
            "graph": graph_sha256, "file": slide.file, "tiles": slide.tiles, "cutting": asdict(slide.cutting),
        }  # fmt: skip
        name = f"features-{slide.folder.replace('/', '-')}"
        part = stages.arrays(name, depends_on, partial(_features, graph, tile_paths(slide, folder), slide.cutting.size_px))
        parts.append(part)
        rows += [
            (f"{slide.path}@{x},{y}", slide.label, slide.path, slide.source_group)
            for x, y in (slide.tiles[position] for position in part["position"])
        ]
    cases = pd.DataFrame(rows, columns=["case_id", "label", "source", "group_id"])
    events = pd.DataFrame({"key": cases["case_id"], "case_id": cases["case_id"], "label": cases["label"]})
    read = TileFeatures(
        *(np.concatenate([part[key] for part in parts]) for key in TileFeatures.__dataclass_fields__)
    )  # fmt: skip
    target = np.unique(cases["label"], return_inverse=True)[1]
    everywhere, patient = np.full(len(cases), "cervix"), cases["group_id"].to_numpy(str)
    weight = tile_weights(target, everywhere, patient, np.zeros(len(cases), bool), 1.0)
    share = recipe["slide"]["cervical_share"]
    return LabelledTiles(
        labels=Labels("tile", cases, events, {}),
        read=read,
        sha256=np.concatenate([part["sha256"] for part in parts]).tolist(),
        weight=np.minimum(weight * rehearsed * share / (1 - share), recipe["slide"]["label_weight_at_most"]).astype(np.float32),
    )


def _features(graph: SlideGraph, paths: list[Path], size_px: int) -> Arrays:
    pixels, readable = read_pixels(paths, size_px)
    pixels = pixels[readable]
    read = graph.features(batches(pixels))
    return {**vars(read), "sha256": np.array([*map(pixels_sha256, pixels)]), "position": np.flatnonzero(readable)}


def _learned_from(labels: Labels, source: ArchiveName, recipe: Mapping[str, Any]) -> TrainingData:
    """The cervical tiles as a data source."""
    told, archive = recipe["training_data"], recipe["archives"][source]
    return TrainingData(
        **told | {"citation": f"{told['citation']}; {archive['citation']}"},
        licence=archive["licence"],
        nature="real",
        counts={"train": labels.counts},
        groups={"train": int(labels.cases["group_id"].nunique())},
    )


def _with_limits(model: Model, told: Mapping[str, Any]) -> Model:
    """The entry without the sentences that cervical tiles made untrue."""

    def still_true(sentences: list[str]) -> list[str]:
        return [text for text in sentences if not any(phrase in text for phrase in told["untrue_phrases"])]

    limits = [*told["limits"], *still_true(model.limits)]
    return model.model_copy(update={"limits": limits, "intended_use": still_true(model.intended_use)})


def _require_both(there: set[str], problem: str, action: str) -> None:
    if lacking := set(CLASSES) - there:
        raise CandidateRefused(problem, expected=" and ".join(CLASSES), found=f"no {', '.join(sorted(lacking))}", action=action)


def _sha256_of_shipped(parent: SlideParent) -> str:
    (file,) = (variant.file for variant in parent.model.variants if variant.precision == SHIPPED)
    return sha256_of(parent.bundle.root / file)


def _digest_of_all(slides: tuple[ListedSlide, ...], parent: SlideParent, recipe: Mapping[str, Any]) -> str:
    settings = {key: value for key, value in recipe.items() if key != "speed"}
    return digest_of({"slides": [asdict(slide) for slide in slides], "parent": parent.bundle.sha256, "recipe": settings})
