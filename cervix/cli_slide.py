"""``python -m cervix slide``: what the app does with slides, for one or several files or folders."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from tqdm import tqdm

from cervix.bundle import Bundle
from cervix.errors import (
    Cancelled,
    CervixError,
    NameRefused,
    NoTissue,
    SlideNotReadable,
    SlideNotSuitable,
    SlideScaleUnknown,
    WrongStain,
)
from cervix.files import replacing
from cervix.intake.inbox import list_inbox
from cervix.interop.exports import EXPORTS, write_export
from cervix.outside_names import PART_BYTES_AT_MOST, inside
from cervix.slides.gate import plan_through_the_gate
from cervix.slides.scoring import ScoreProgress, SlidePlan, SlideScore, score_slide
from cervix.slides.sweep import ERROR
from cervix.slides.triage import triage_slide
from cervix.sources.mirax import MIRAX
from cervix.sources.probe import open_outside
from cervix.sources.readers.registry import picture_suffixes, readable
from cervix.sources.slide import Slide

EXIT_REFUSED = 1
SUMMARY_ENDING = "summary.json"
ENDINGS = (*(export.ending for export in EXPORTS.values()), SUMMARY_ENDING)
# A file is written under a temporary name first: its own with a dot, a dash and eight letters more.
STEM_BYTES_AT_MOST = PART_BYTES_AT_MOST - max(len(f"-{ending}") for ending in ENDINGS) - 10
HASH_DIGITS = 12


def add_slide_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    common: argparse.ArgumentParser,
    bundle_of: Callable[[argparse.Namespace], Bundle],
) -> None:
    """Add ``slide`` to the commands. ``bundle_of`` loads the bundle that the options name."""
    slide = commands.add_parser(
        "slide",
        parents=[common],
        help="score whole-slide images or pictures",
        epilog="exit status: 0 all scored; 1 a slide or an export was refused, and why is said; 2 wrong options; 130 stopped",
    )
    slide.add_argument("files", metavar="FILE", type=Path, nargs="+", help="a slide, or a folder with slides (DICOM, MIRAX)")
    slide.add_argument("--out", type=Path, required=True, help="folder for the tile table and the summary")
    slide.add_argument(
        "--export",
        nargs="+",
        choices=EXPORTS,
        default=["csv"],
        metavar="KIND",
        help=f"what to write beside the summary: {'; '.join(f'{kind}: {export.title}' for kind, export in EXPORTS.items())}",
    )
    slide.add_argument("--mpp", type=float, help="micrometres per pixel, where the file does not say")
    slide.add_argument("--everywhere", action="store_true", help="score the whole scanned area, where no tissue is found")
    slide.add_argument(
        "--triage",
        action="store_true",
        help=f"score only until the answer of the slide is decided (error {100 * ERROR:g} %%); every output says so",
    )
    slide.add_argument("--despite-quality", action="store_true", help="score a slide whose stain does not look like H&E")
    slide.set_defaults(run=lambda options: score_slides(options, bundle_of))


@dataclass(frozen=True)
class Named:
    """A slide that can be opened, with the name of its results."""

    path: Path
    sha256: str
    stem: str


def score_slides(options: argparse.Namespace, bundle_of: Callable[[argparse.Namespace], Bundle]) -> int:
    """Score what the options name. With several slides, one that is refused does not stop the others.

    Raises
    ------
    CervixError
        Where a single slide is refused, or nothing can be written.
    Cancelled
        When stopped by Ctrl-C.
    """
    stop = Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    files = list(dict.fromkeys(file for named in options.files for file in slides_named(named)))
    _require_writable(options.out)
    refused = 0

    def said(error: CervixError, file: Path) -> None:
        nonlocal refused
        if len(files) == 1 or isinstance(error, Cancelled):
            raise error
        refused += 1
        print(f"error: {file}: {error}", file=sys.stderr)

    slides: list[Named] = []
    for file in files:
        if stop.is_set():
            raise Cancelled("Scoring was stopped")
        try:
            slide = _opened(file, options)
            slides.append(Named(file, slide.sha256, free_stem(file, slide.sha256, options.out, [one.stem for one in slides])))
        except CervixError as error:
            said(error, file)
    if not slides:
        return EXIT_REFUSED
    bundle = bundle_of(options)
    for named in slides:
        try:
            _score(_opened(named.path, options, named.sha256), named.stem, options, bundle, stop)
        except CervixError as error:
            said(error, named.path)
    if refused:
        print(f"error: {refused} of {len(files)} slides were refused, wholly or in an export", file=sys.stderr)
    return EXIT_REFUSED if refused else 0


def slides_named(path: Path) -> list[Path]:
    """The slides that a file or folder stands for: itself, the slides in it, or the MIRAX slide whose data folder it is.

    Raises ``SlideNotReadable`` where a folder holds none.
    """
    if not path.is_dir():
        return [path]
    found = [entry.path for entry in list_inbox([path], order="name")]
    # Scanners lay photographs of the label and the like beside a slide.
    slides = [file for file in found if file.suffix.lower() not in picture_suffixes()] or found
    beside = path.with_name(path.name + MIRAX)
    if not slides and beside.is_file():
        slides = [beside]
    if not slides:
        raise SlideNotReadable("There is no slide in this folder", expected=readable(), found=str(path))
    return slides


def free_stem(file: Path, sha256: str, out: Path, taken: list[str]) -> str:
    """How the results of a slide are called: its name without suffix, with more where that is another slide's, or too long.

    Raises ``NameRefused`` where no such name is free.
    """
    short = file.stem.encode()[: STEM_BYTES_AT_MOST - HASH_DIGITS - 1].decode(errors="ignore")
    digits = sha256[:HASH_DIGITS]
    lower = {stem.casefold() for stem in taken}
    for stem in (file.stem, f"{file.stem}-{file.suffix[1:]}", f"{short}-{digits}", f"slide-{digits}"):
        if len(stem.encode()) <= STEM_BYTES_AT_MOST and stem.casefold() not in lower and _may_write(out, stem, sha256):
            return stem
    raise NameRefused(
        "The results of this slide would overwrite others", found=str(out), action="Choose another folder with --out."
    )


def _may_write(out: Path, stem: str, sha256: str) -> bool:
    """Whether nothing is there under this name, or what is there is this slide's own."""
    try:
        there = [path for ending in ENDINGS if (path := inside(out, f"{stem}-{ending}")).exists()]
    except NameRefused:
        return False
    if not there:
        return True
    try:
        return bool(json.loads((out / f"{stem}-{SUMMARY_ENDING}").read_bytes())["slide_sha256"] == sha256)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _require_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from error
    if not os.access(out, os.W_OK):
        raise CervixError(f"{out} cannot be written", action="Choose another folder with --out.")


def _unwritable(out: Path, error: OSError) -> CervixError:
    return CervixError(f"{out} cannot be written", found=error.strerror or "", action="Choose another folder with --out.")


def _opened(file: Path, options: argparse.Namespace, sha256: str | None = None) -> Slide:
    slide = open_outside(file, spacing_um_px=options.mpp, sha256=sha256)
    try:
        _ = slide.known_spacing_um_px
    except SlideScaleUnknown as error:
        raise _with_option(error, "On the command line: --mpp.") from error
    return slide


def _with_option(error: CervixError, words: str) -> CervixError:
    """The same error with what the command line has for it."""
    return type(error)(error.problem, expected=error.expected, found=error.found, action=f"{error.action} {words}".strip())


def _score(slide: Slide, stem: str, options: argparse.Namespace, bundle: Bundle, stop: Event) -> None:
    for notice in slide.notices:
        print(f"note: {notice}", file=sys.stderr)
    plan = _plan(slide, options, bundle)
    with tqdm(unit="tile", desc="scoring", disable=None) as bar:

        def show(progress: ScoreProgress) -> None:
            bar.total = progress.total
            bar.update(progress.done - bar.n)

        score = (triage_slide if options.triage else score_slide)(slide, bundle, plan=plan, on_progress=show, cancel=stop)
    for notice in score.summary.notices[len(slide.notices) :]:
        print(f"note: {notice}", file=sys.stderr)
    try:
        refused = _write(score, slide, stem, options, bundle)
    except CervixError:
        raise
    except OSError as error:
        raise _unwritable(options.out, error) from error
    answer, timings, triage = score.summary.answer, score.summary.timings, score.summary.triage
    scored = answer.tiles if triage is None else triage.seen_tiles
    print(answer.sentence)
    model = bundle.session_of("tile").model
    if score.summary.head is not None:
        print(score.summary.head.sentence(answer))
    if model.organs_seen:
        print(model.organs_seen)
    print(
        f"{scored:,} tiles in {timings.total_s:.1f} s ({timings.tiles_per_s:.1f} tiles/s) on "
        f"{score.summary.provenance.provider}; bundle {bundle.label}"
    )
    print(f"written to {options.out / stem}-*. {model.notice}")
    if refused:
        raise refused[0]


def _plan(slide: Slide, options: argparse.Namespace, bundle: Bundle) -> SlidePlan:
    """The plan of a slide that the quality gate of the app would let through; what else it says goes to stderr."""
    try:
        plan, gate = plan_through_the_gate(
            slide, bundle, everywhere=options.everywhere, despite_quality=options.despite_quality
        )
    except NoTissue as error:
        raise _with_option(error, "With --everywhere the whole scanned area is scored.") from error
    except WrongStain as error:
        raise _with_option(error, "With --despite-quality it is scored.") from error
    for warning in [*gate.warnings, *filter(None, [gate.wrong_stain])]:
        print(f"note: {warning}", file=sys.stderr)
    return plan


def _write(score: SlideScore, slide: Slide, stem: str, options: argparse.Namespace, bundle: Bundle) -> list[SlideNotSuitable]:
    """Write the exports and the summary; returns why some cannot be had of this slide."""
    session, refused = bundle.session_of("tile"), []
    for kind in options.export:
        try:
            write_export(kind, score, slide, session, options.out, stem)
        except SlideNotSuitable as error:
            refused.append(error)
    with replacing(options.out / f"{stem}-{SUMMARY_ENDING}") as temporary:
        temporary.write_text(score.summary.model_dump_json(indent=2), encoding="utf-8")
    return refused
