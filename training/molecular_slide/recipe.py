"""From an archive's list of slides and the tables of tumours to figures of both, in stages that survive a kill."""

import shutil
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from training.data.tissue.collecting import Archive, SlideManifest, choose_slides, fetch_chosen
from training.data.tissue.slide_tiles import cut_tiles
from training.molecular.data import load_cohort
from training.molecular_slide.figures import answer_rows, control_rows, figure_rows, patient_rows
from training.molecular_slide.folds import MolecularFolds, molecular_folds, require_pairs_in_every_fold
from training.molecular_slide.fusion import fuse
from training.molecular_slide.pairs import PairedSlides, kinds_of, places_of, require_each_once
from training.molecular_slide.slides import score_slides, tile_session
from training.shared.declared import read_recipe
from training.shared.manifest_parts import write_bytes, write_table
from training.shared.stages import Log, Stages, array_digest

HOUR_S = 3600.0
RESULTS: Final = "molecular-slide"
"""The folder of the tables, under that of the slides and tiles."""
NOT_RUN: Final = (
    "The authors of this command never ran it on the real slides. It was tested on made-up pairs, and no figure of real ones "
    "was published with it: what stands below is this run's alone."
)


def join_slides(
    archive: Archive, recipes: Mapping[str, Path], omics: Path, bundle: Bundle, work: Path, *, limit: int | None,
    smallest: bool, go_on: bool, log: Log,
) -> Path | None:  # fmt: skip
    """Foresee, then fetch the slides of patients with microRNA, cut and score tiles, and join both answers.

    Whatever was finished before is not done again: slides and tiles lie under ``work``, answers in ``work/stages``.

    Parameters
    ----------
    recipes : ``molecular-slide``, ``molecular`` and ``cervix`` -> their files
    limit, smallest : as ``choose_slides`` takes them
    go_on : bool
        Whether to go on after the estimate.

    Returns
    -------
    Path or None
        The folder of the tables ``pairs, figures, answers, control, patients`` and of ``report.txt``; None where the run ended
        with the estimate.

    Raises
    ------
    DownloadFailed, SlideTilesError
        If slides cannot be had, or give no tiles.
    MolecularDataMissing, PairsRefused
        If tables are missing, or there are too few pairs; of what the list can tell, before anything is fetched.
    """
    recipe, cervix = (tomllib.loads(recipes[name].read_text(encoding="utf-8")) for name in ("molecular-slide", "cervix"))
    molecular = read_recipe(recipes["molecular"])
    tiles = tile_session(bundle).model.tiles
    if tiles is None:
        raise ValueError("the tile model declares no tiles")
    require_each_once(omics)
    cohort = load_cohort(omics, molecular["seed"])
    pairs = PairedSlides(archive, kinds_of(cohort))
    manifest = choose_slides(pairs, work, limit=limit, smallest=smallest, log=log)
    paired = np.zeros(len(cohort.patients), bool)
    paired[places_of([slide.source_group for slide in manifest.slides], cohort)] = True
    require_pairs_in_every_fold(cohort, paired, molecular, recipe["fusion"]["each_kind_at_least"])
    for line in _foreseen(manifest, pairs, cervix, shutil.disk_usage(work).free / 1e9):
        log(line)
    if not go_on:
        log("this was the estimate; nothing was fetched. Go on with --yes")
        return None
    fetch_chosen(manifest, pairs, log)
    cut = cut_tiles(
        manifest.path, work / "tiles", spacing_um_px=tiles.spacing_um_px, size_px=tiles.size_px,
        cap_per_slide=cervix["tiles"]["cap_per_slide"], log=log,
    )  # fmt: skip
    stages = Stages(work / "stages", log)
    says = score_slides(bundle, cut.slides, work / "tiles", cohort, stages, log)
    slide = says.log_odds(recipe["slide"]["accepted_at_least"])
    inner_folds, sensitivity = recipe["fusion"]["inner_folds"], molecular["evaluation"]["sensitivity_inside"]
    log("fitting the molecular model in every fold of both levels")
    fitted_on = {
        "tumours": array_digest(cohort.rpm, cohort.glandular, cohort.hospitals, cohort.markers), "inner_folds": inner_folds,
        "recipe": {key: molecular[key] for key in ("seed", "model", "novelty", "evaluation")},
    }  # fmt: skip
    folds = MolecularFolds(
        **stages.arrays("molecular-folds", fitted_on, partial(molecular_folds, cohort, molecular, inner_folds))
    )
    fused = fuse(cohort, folds, slide, recipe["fusion"], sensitivity)
    source = f"{archive.title}: slides by {bundle.manifest.name} {bundle.manifest.version}, microRNA out of fold by hospital"
    tables = {
        "pairs": _pair_rows(manifest, len(cohort.patients), int(paired.sum()), archive.title),
        "figures": figure_rows(cohort, says.slides > 0, fused, source),
        "answers": answer_rows(cohort, fused, says, source),
        "control": control_rows(cohort, folds, slide, fused, recipe, sensitivity, molecular["seed"], source),
        "patients": patient_rows(cohort, fused, says),
    }
    return _told(tables, work / RESULTS, log)


def _foreseen(manifest: SlideManifest, pairs: PairedSlides, cervix: Mapping[str, Any], free_gb: float) -> Iterator[str]:
    """What a run takes at most, from the archive's list and the speeds that recipe ``cervix`` was measured at."""
    speed, tiles = cervix["speed"], len(manifest.slides) * cervix["tiles"]["cap_per_slide"]
    missing = manifest.missing_bytes(pairs)
    disk_gb = (sum(slide.file_size for slide in manifest.slides) + tiles * speed["tile_kb"] * 1e3) / 1e9
    hours = {
        f"fetching at {speed['download_mb_s']:g} MB/s": missing / (1e6 * speed["download_mb_s"]) / HOUR_S,
        "cutting": tiles / speed["cut_tiles_s"] / HOUR_S,
        "scoring": tiles / speed["features_tiles_s"] / HOUR_S,
    }
    patients = len({slide.source_group for slide in manifest.slides})
    yield f"{len(manifest.slides)} slides of {patients} patients; {missing / 1e9:.2f} GB to fetch"
    yield f"disk: {disk_gb:.2f} GB in all, {free_gb:.0f} GB free"
    steps = ", ".join(f"{step} {taken:.2f} h" for step, taken in hours.items())
    yield f"time: at most about {sum(hours.values()):.1f} h ({steps})"


def _pair_rows(manifest: SlideManifest, tumours: int, patients: int, title: str) -> pd.DataFrame:
    """How pairs came to be: what was there, what was left out and why."""
    reasons = Counter(slide.reason for slide in manifest.excluded).most_common()
    counts = [
        ("tumours with microRNA, squamous or glandular", tumours),
        *((f"slides left out: {reason}", count) for reason, count in reasons),
        ("slides chosen", len(manifest.slides)),
        ("patients with slide and microRNA", patients),
    ]
    return pd.DataFrame(counts, columns=["what", "n"]).assign(source=f"{title}, the archive's list and the table of tumours")


def _told(tables: Mapping[str, pd.DataFrame], out: Path, log: Log) -> Path:
    """Write every table, say those that name no patient, and keep what was said."""
    said = [RESEARCH_NOTICE, NOT_RUN]
    for name, table in tables.items():
        write_table(out / f"{name}.csv", table)
        if name != "patients":
            said.append(f"{name}\n{table.to_string(index=False)}")
    for line in said:
        log(line)
    write_bytes(out / "report.txt", ("\n\n".join(said) + "\n").encode())
    log(f"the tables are in {out}")
    return out
