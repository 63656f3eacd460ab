"""``python -m benchmarks WHAT``: a table of medians of speed or memory, each beside its reference or what is wanted."""

import argparse
from collections.abc import Callable

import pandas as pd

from benchmarks import coarse, demo, dicom_slide, figures, label_desk, labels, loads, mutants, patients, pictures, probe, slides
from benchmarks.api_fuzz import api_fuzz
from benchmarks.archive_cluster import archive_cluster
from benchmarks.archive_local import archive_local
from benchmarks.archive_page import archive_page
from benchmarks.archive_scale import archive_ledger, archive_ray, archive_two_nodes
from benchmarks.archive_simulation import archive_simulation
from benchmarks.archive_tables import archive_tables
from benchmarks.dicom_export import dicom_export
from benchmarks.hostile import hostile
from benchmarks.similar import similar
from benchmarks.similar_tiles import similar_tiles
from benchmarks.triage import triage
from benchmarks.triage_drawn import triage_drawn
from benchmarks.triage_looks import triage_looks
from benchmarks.wrap import wrap


def main() -> None:
    """Run one benchmark and print its table."""
    programs: dict[str, Callable[[int], pd.DataFrame]] = {
        "slide": slides.slide, "first-answer": slides.first_answer, "deepzoom": slides.deepzoom, "upload": slides.upload,
        "memory": slides.memory, "gpu": slides.gpu, "demo": demo.demo, "patients": patients.risk_factors,
        "histories": patients.histories, "histories-line": patients.on_the_command_line,
        "explanations": patients.explanations, "patient-desk": patients.desk,
        "figures": figures.figures, "figures-on-screen": figures.figures_on_screen,
        "labels": labels.labels, "label-desk": label_desk.label_desk, "probe": probe.probe, "loads": loads.loads,
        "coarse": coarse.coarse, "pictures": pictures.pictures, "dicom-slide": dicom_slide.dicom_slide,
        "dicom-export": dicom_export, "archive-local": archive_local, "archive-tables": archive_tables,
        "archive-page": archive_page, "similar": similar, "similar-tiles": similar_tiles,
        "triage": triage, "triage-drawn": triage_drawn, "triage-looks": triage_looks,
        "archive-cluster": archive_cluster,
        "archive-simulation": archive_simulation, "archive-ray": archive_ray,
        "archive-two-nodes": archive_two_nodes, "archive-ledger": archive_ledger, "wrap": wrap,
    }  # fmt: skip
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=[*programs, "api-fuzz", "hostile", "mutants"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long to throw inputs (api-fuzz and hostile)")
    parser.add_argument("--seed", type=int, default=1, help="which inputs to throw (api-fuzz and hostile)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once (mutants only)")
    options = parser.parse_args()
    if options.what == "hostile":
        print(hostile(options.minutes, options.seed).to_string(index=False))
    elif options.what == "api-fuzz":
        print(api_fuzz(options.minutes, options.seed).to_string(index=False))
    elif options.what == "mutants":
        table = mutants.mutants(options.jobs)
        print(table.to_string(index=False))
        parser.exit(int((table["survivors"] != "").any()))
    else:
        print(programs[options.what](options.runs).to_string(index=False))


if __name__ == "__main__":
    main()
