"""``python -m training data | slide | risk-factors | history | history-boosting | molecular | molecular-slide | build | add |
retrain | cervix | generate | wrap | head``: from data, labels or somebody's model to a proven bundle.
"""

import argparse
import errno
import logging
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

# TensorFlow's start-up messages hide the log of a run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from cervix.bundle.manifest import Manifest, Model, ModelId
from cervix.errors import CervixError
from cervix.retraining import RECIPES
from cervix.retraining.log import Event, LogLine
from cervix.settings import PROJECT_ROOT, get_settings
from training.bundle.build import about_build, assemble_bundle, in_order
from training.bundle.cost import costed
from training.shared.declared import declared_ids

if TYPE_CHECKING:
    from training.boosting.data import HistoryFiles
    from training.data.tissue.collecting import Archive

RECIPES_DIR = Path(__file__).parent / "recipes"
BUILD_DIR = PROJECT_ROOT / "build"
ENTRY_NAME = "model.json"
HONEST, LEAKY = "honest", "leaky"
COHORT_WOMEN, COHORT_SEED = 240_000, 101
PAPER_RECIPE, SHIPPED_RECIPE, RISK_RECIPE, HISTORY_RECIPE = "paper", "shipped", "risk-factors", "history"
COHORT_RECIPE, HYBRID_RECIPE, ACTIVE_RECIPE, CERVIX_RECIPE = "cohort", "hybrid", "active-learning", "cervix"
GENERATE_RECIPE, HEAD_RECIPE, MOLECULAR_RECIPE, PAIRS_RECIPE = "generate", "head", "molecular", "molecular-slide"
BOOSTING_RECIPE = "history-boosting"
SHIPPED_BUNDLE = PROJECT_ROOT / "bundle"


class BoostingNotInstalled(CervixError, code="boosting-not-installed"):
    """Raised when a boosting model is to be fitted and its library is not there."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns 0 on success, or 1 after one sentence on stderr that says what is wrong."""
    options = _parser().parse_args(arguments)
    options.tell = _teller(as_json=options.json)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        options.run(options, lambda message: options.tell("said", message))
    except CervixError as error:
        options.tell("refused", str(error), code=error.code)
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        no_room = _no_room(options.out)
        options.tell("refused", str(no_room), code=no_room.code)
        return 1
    return 0


def _no_room(out: Path) -> CervixError:
    """The error for a full disk: half-written files are discarded, and finished stages are kept."""
    return CervixError(
        f"No room is left to write under {out}",
        expected="about 4 GB for both slide recipes",
        found=f"{shutil.disk_usage(out).free / 1e9:.1f} GB free",
        action="Make room and run the same command again: it continues after the last finished stage.",
    )


def _teller(*, as_json: bool) -> Callable[..., None]:
    """A function ``tell(event, message, **fields of LogLine)`` that writes JSON lines for programs, or text."""
    started = time.perf_counter()

    def tell(event: Event, message: str, **more: Any) -> None:
        line = LogLine(event=event, message=message, elapsed_s=round(time.perf_counter() - started, 1), **more)
        stream = sys.stderr if event == "refused" else sys.stdout
        # One write per line, because libraries write to the same log.
        stream.write(f"{line.as_json() if as_json else line.text}\n")
        stream.flush()

    return tell


def _slide(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    if options.recipe == PAPER_RECIPE:
        _paper(options, log)
    else:
        _shipped(options, log)


def _shipped(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.slide.entry import slide_entry
    from training.slide.recipe import train_slide_model

    def train(listening: Callable[[str], None]) -> list[Model]:
        recipe = _path_of(SHIPPED_RECIPE)
        return [slide_entry(train_slide_model(recipe, options.tiles, options.vgg16_weights, options.out, listening))]

    _save(costed(train, options.out, log), options.out)


def _paper(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.slide.paper import train_paper

    train_paper(_path_of(PAPER_RECIPE), options.tiles, options.vgg16_weights, options.out, log)


def _risk_factors(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.risk_factors.leakage import leakage_table
    from training.risk_factors.recipe import train_risk_factors
    from training.shared.manifest_parts import write_table

    path = _path_of(RISK_RECIPE)
    if options.protocol == LEAKY:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
        write_table(options.out / declared_ids(recipe)[0] / "leakage.csv", leakage_table(options.table, recipe, log))
        return

    def train(listening: Callable[[str], None]) -> list[Model]:
        return train_risk_factors(path, options.table, options.out, listening)

    _save(costed(train, options.out, log), options.out)


def _history(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.history.recipe import train_history

    def train(listening: Callable[[str], None]) -> list[Model]:
        recipe, cohort = _path_of(HISTORY_RECIPE), _path_of(COHORT_RECIPE)
        return train_history(recipe, cohort, options.women, options.seed, options.published, options.out, listening)

    _save(costed(train, options.out, log), options.out)


def _boosting(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.boosting.data import HistoryFiles

    _boosting_beside(HistoryFiles.of_bundle(options.parent), options, log)


def _boosting_in_build(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    """The boosting beside a history model that was trained under ``--out``."""
    from training.boosting.data import HistoryFiles

    history = Model.model_validate_json((options.out / _first_model(HISTORY_RECIPE) / ENTRY_NAME).read_bytes())
    _boosting_beside(HistoryFiles.of_parts(history, options.out), options, log)


def _boosting_beside(files: "HistoryFiles", options: argparse.Namespace, log: Callable[[str], None]) -> None:
    try:
        from training.boosting.recipe import train_boosting
    except ModuleNotFoundError as error:
        raise BoostingNotInstalled(
            "Boosting is not installed",
            expected="the packages lightgbm and onnxmltools",
            found=f"no {error.name}",
            action="Run: pip install -r requirements-wrap.txt",
        ) from error

    def train(listening: Callable[[str], None]) -> list[Model]:
        return train_boosting(_path_of(BOOSTING_RECIPE), files, options.out, listening)

    _save(costed(train, options.out, log), options.out)


def _molecular(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.molecular.recipe import train_molecular

    def train(listening: Callable[[str], None]) -> list[Model]:
        return train_molecular(_path_of(MOLECULAR_RECIPE), options.omics, options.out, listening)

    _save(costed(train, options.out, log), options.out)


def _hybrid(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.hybrid.recipe import train_hybrid

    recipes = {name: _path_of(name) for name in (HYBRID_RECIPE, HISTORY_RECIPE, COHORT_RECIPE, SHIPPED_RECIPE)}

    def train(listening: Callable[[str], None]) -> list[Model]:
        return train_hybrid(recipes, options.tiles, options.women, options.seed, options.out, listening)

    _save(costed(train, options.out, log), options.out)


def _active_learning(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.history.checks.active_learning import run_active_learning

    recipes = {name: _path_of(name) for name in (ACTIVE_RECIPE, HISTORY_RECIPE, COHORT_RECIPE)}
    run_active_learning(recipes, options.women, options.seed, options.out, log)


def _generate(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from cervix.bundle.active import active_bundle
    from cervix.patients.golden import prove_bundle
    from training.slide.generate import train_generate

    bundle = prove_bundle(options.judge or active_bundle(get_settings()).root, device="cpu")
    train_generate(
        _path_of(GENERATE_RECIPE), _path_of(SHIPPED_RECIPE), options.tiles, options.vgg16_weights, bundle, options.minutes,
        options.out, log,
    )  # fmt: skip


def _tcga(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.data.tissue.gdc import fetch_slides

    fetch_slides(options.project, options.out, limit=options.limit, smallest=options.smallest, log=log)


def _cut_tiles(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.data.tissue.slide_tiles import cut_tiles

    cut_tiles(options.slides, options.out, spacing_um_px=options.spacing, cap_per_slide=options.cap, log=log)


def _drawn_settings(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.shared.manifest_parts import write_table
    from training.slide.drawn.tuning import answering, answers_table, tune_all

    model = answering(options.bundle)
    tune_all(model, options.trials, options.seed, options.out, log, write=options.write)
    answers = answers_table(model, options.fresh, log)
    write_table(options.out / "answers.csv", answers)
    log(answers.to_string(index=False))


def _drawn_gain(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.shared.manifest_parts import write_table
    from training.slide.drawn.few_shot import measure_gain

    table = measure_gain(_path_of(SHIPPED_RECIPE), options.tiles, options.vgg16_weights, options.out, log)
    write_table(options.out / "drawn-gain.csv", table)
    log(table.to_string(index=False))


def _samples(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from cervix.patients.golden import prove_bundle
    from training.bundle.samples import draw_samples

    draw_samples(prove_bundle(options.bundle), log)


def _cohort(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.data.cohort.files import make_cohort

    make_cohort(_path_of(COHORT_RECIPE), options.women, options.seed, options.out, log)


def _cohort_fit(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.data.cohort.fitting import fit_cohort

    options.out.mkdir(parents=True, exist_ok=True)
    recipe, size = _path_of(COHORT_RECIPE), (options.agents, options.populations)
    fit_cohort(recipe, options.published, *size, options.trials, options.seed, options.out, log)


def _build(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.bundle.subgroups import with_subgroups
    from training.history.checks.active_learning import ACQUISITION_NAME, with_acquisition
    from training.slide.paper import REPRODUCTION

    for train, result in (
        (_shipped, f"{_first_model(SHIPPED_RECIPE)}/{ENTRY_NAME}"),
        (_paper, REPRODUCTION.file),
        (_risk_factors, f"{_first_model(RISK_RECIPE)}/{ENTRY_NAME}"),
        (_history, f"{_first_model(HISTORY_RECIPE)}/{ENTRY_NAME}"),
        (_active_learning, f"{_first_model(HISTORY_RECIPE)}/{ACQUISITION_NAME}"),
        (_hybrid, f"{_first_model(HYBRID_RECIPE)}/{ENTRY_NAME}"),
        (_boosting_in_build, f"{_first_model(BOOSTING_RECIPE)}/{ENTRY_NAME}"),
        (_molecular, f"{_first_model(MOLECULAR_RECIPE)}/{ENTRY_NAME}"),
    ):
        if options.reuse and (options.out / result).is_file():
            log(f"reusing {options.out / result}")
        else:
            train(options, log)
    made = [Model.model_validate_json(path.read_bytes()) for path in options.out.glob(f"*/{ENTRY_NAME}")]
    models = in_order(sorted(made, key=lambda model: model.id))
    models = [model.with_table(REPRODUCTION) if model.kind == "tile" else model for model in models]
    simulation, labelled = _path_of(ACTIVE_RECIPE), _first_model(HISTORY_RECIPE)
    models = [with_acquisition(model, simulation, options.out) if model.id == labelled else model for model in models]
    models = [with_subgroups(model, options.out, options.table) for model in models]
    manifest = assemble_bundle(options.out, options.bundle, models, about_build(models))
    log(f"{manifest.name} {manifest.version} in {options.bundle}: {sum(f.bytes for f in manifest.files) / 1e6:.1f} MB")


def _retrain(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from cervix.bundle.active import active_bundle
    from cervix.labels import open_store
    from training.bundle.candidate import retrain

    def progress(stage: str, share: float, what: str) -> None:
        options.tell("progress", what, stage=stage, done=round(share, 3))

    recipe = _path_of(options.recipe)
    options.out = options.out or get_settings().bundles_dir / f"candidate-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with open_store(options.labels) as store:
        parent = options.parent or active_bundle(get_settings()).root
        label = retrain(parent, store, options.model, recipe, options.seed, options.out, options.by, log, progress)
    options.tell("candidate", f"candidate {label} in {options.out}", candidate=label)


def _sample_candidate(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from cervix.retraining.log import LogLine
    from training.bundle.sample_candidate import make_sample_candidate

    lines: list[LogLine] = []
    started = time.perf_counter()

    def progress(stage: str, share: float, what: str) -> None:
        options.tell("progress", what, stage=stage, done=round(share, 3))
        lines.append(LogLine(event="progress", message=what, stage=stage, done=round(share, 3), elapsed_s=_since(started)))

    def listening(message: str) -> None:
        log(message)
        lines.append(LogLine(event="said", message=message, elapsed_s=_since(started)))

    label = make_sample_candidate(options.bundle, _path_of(options.recipe), options.out, lines, listening, progress)
    options.tell("candidate", f"sample candidate {label} in {options.out}", candidate=label)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 1)


@contextmanager
def _archive(options: argparse.Namespace, log: Callable[[str], None]) -> "Iterator[Archive]":
    """The archive of cervical slides that the options name."""
    from cervix.sources.downloads import Downloader
    from cervix.sources.idc import IDC_SERVICE
    from training.data.tissue.gdc import SERVICE, GenomicDataCommons
    from training.data.tissue.idc import ImagingDataCommons

    project = tomllib.loads(_path_of(CERVIX_RECIPE).read_text(encoding="utf-8"))["project"]
    with Downloader(SERVICE, log=log) as service, Downloader(IDC_SERVICE, log=log) as buckets:
        gdc = GenomicDataCommons(service, project, options.gdc)
        yield gdc if options.source == "gdc" else ImagingDataCommons(buckets, options.addresses, gdc, options.idc)


def _cervix(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from cervix.bundle.active import active_bundle
    from training.bundle.cervical import make_cervical_candidate

    def progress(stage: str, share: float, what: str) -> None:
        options.tell("progress", what, stage=stage, done=round(share, 3))

    settings = get_settings()
    with _archive(options, log) as archive:
        label = make_cervical_candidate(
            archive, options.source, options.parent or active_bundle(settings).root, _path_of(CERVIX_RECIPE), options.out,
            options.candidates or settings.bundles_dir,
            limit=options.limit, smallest=options.smallest, go_on=options.yes, log=log, progress=progress,
        )  # fmt: skip
    if label:
        options.tell("candidate", f"candidate {label}", candidate=label)


def _molecular_slide(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from cervix.bundle.active import active_bundle
    from cervix.patients.golden import prove_bundle
    from training.molecular_slide.recipe import join_slides

    bundle = prove_bundle(options.bundle or active_bundle(get_settings()).root, device="cpu")
    recipes = {name: _path_of(name) for name in (PAIRS_RECIPE, MOLECULAR_RECIPE, CERVIX_RECIPE)}
    with _archive(options, log) as archive:
        join_slides(
            archive, recipes, options.omics, bundle, options.out, limit=options.limit, smallest=options.smallest,
            go_on=options.yes, log=log,
        )  # fmt: skip


def _wrap(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    if options.slides or options.beside:
        log(f"{_wrapped_head(options, log)} is in {options.out} and proved itself.")
        return
    manifest = _wrapped_women(options, log) if options.outcomes or options.women else _wrapped_tiles(options, log)
    log(f"{manifest.name} {manifest.version} is in {options.out} and proved itself.")


def _wrapped_tiles(options: argparse.Namespace, log: Callable[[str], None]) -> Manifest:
    from training.wrap.refusal import WrapRefused
    from training.wrap.tile_model import wrap_tile_model

    if options.tiles is None:
        raise WrapRefused(
            "It is not said where the labelled cases are",
            expected="--tiles for a tile model, --women and --outcomes for one of a table or of histories, "
            "--slides and --beside for a slide head",
            found="none of them",
        )
    return wrap_tile_model(options.model, options.about, options.tiles, options.out, log)


def _wrapped_women(options: argparse.Namespace, log: Callable[[str], None]) -> Manifest:
    from training.wrap.refusal import WrapRefused
    from training.wrap.women.women_model import wrap_women_model

    if options.tiles or not (options.women and options.outcomes):
        raise WrapRefused(
            "It is not said whether the model is one of tiles or of women",
            expected="--women and --outcomes, both, and no --tiles; or --tiles alone",
            found="other options",
        )
    return wrap_women_model(options.model, options.about, options.women, options.outcomes, options.out, log)


def _wrapped_head(options: argparse.Namespace, log: Callable[[str], None]) -> str:
    from training.wrap.refusal import WrapRefused
    from training.wrap.slides.slide_head import wrap_slide_head

    if options.tiles or options.women or options.outcomes or not (options.slides and options.beside):
        raise WrapRefused(
            "It is not said what kind of model it is",
            expected="for a slide head --slides and --beside, both, and no other cases",
            found="other options",
        )
    return wrap_slide_head(options.model, options.about, options.slides, options.beside, options.out, log)


def _head(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from cervix.bundle.active import active_bundle
    from training.bundle.with_head import make_head_candidate

    parent = options.parent or active_bundle(get_settings()).root
    label = make_head_candidate(parent, _path_of(HEAD_RECIPE), options.out, log)
    options.tell("candidate", f"candidate {label} in {options.out}", candidate=label)


def _add(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.bundle.beside import add_models

    entries = [options.parts / model_id / ENTRY_NAME for model_id in options.models]
    label = add_models(options.parent, entries, options.parts, options.out, log)
    options.tell("candidate", f"candidate {label} in {options.out}", candidate=label)


def _path_of(recipe: str) -> Path:
    return RECIPES_DIR / f"{recipe}.toml"


def _first_model(recipe: str) -> ModelId:
    """The id of the recipe's model, or of its first; the model's files are in a folder of that name."""
    return declared_ids(tomllib.loads(_path_of(recipe).read_text(encoding="utf-8")))[0]


def _save(models: list[Model], out_dir: Path) -> None:
    for model in models:
        (out_dir / model.id / ENTRY_NAME).write_text(model.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    data = Path(os.environ.get("CERVIX_DATA", "data"))
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--json", action="store_true", help="log JSON lines, as the app reads them (cervix/retraining/log.py)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    slide_data = argparse.ArgumentParser(add_help=False)
    slide_data.add_argument("--recipe", choices=[PAPER_RECIPE, SHIPPED_RECIPE], default=SHIPPED_RECIPE)
    slide_data.add_argument("--tiles", type=Path, default=data / "tiles", help="folder of the tiles of all sources")
    weights = data / "weights/vgg16_imagenet_notop.h5"
    slide_data.add_argument(
        "--vgg16-weights",
        type=Path,
        default=weights if weights.is_file() else None,
        help="Keras HDF5 file without the top; default: weights/ of the data folder, or else downloaded by Keras",
    )
    table_data = argparse.ArgumentParser(add_help=False)
    table_data.add_argument(
        "--table",
        type=Path,
        default=data / "tables/uci_risk_factors_cervical_cancer.csv",
        help="the UCI table",
    )
    _add_data_commands(commands.add_parser("data", help="get slides and cut tiles", description="get slides and cut tiles"))
    cohort = argparse.ArgumentParser(add_help=False)
    _add_cohort_options(cohort)
    yardstick = argparse.ArgumentParser(add_help=False)
    _add_published(yardstick)
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument("--out", type=Path, default=BUILD_DIR, help=f"where to write (default {BUILD_DIR.name}/)")

    _add_retrain(commands)
    _add_cervix(commands, data)
    _add_drawn_settings(commands)
    _add_sample_candidate(commands)
    _add_wrap(commands)
    _add_head(commands)
    _add_models(commands)
    omics = argparse.ArgumentParser(add_help=False)
    omics.add_argument("--omics", type=Path, default=data / "omics", help="folder of TCGA's tables of molecular measurements")
    _add_molecular_slide(commands, omics, data)
    for name, parents, run, text in (
        (MOLECULAR_RECIPE, [omics, out], _molecular, "train and export the model of microRNA"),
        (BOOSTING_RECIPE, [out], _boosting, "train and export the boosting model of a bundle's histories"),
        ("slide", [slide_data, out], _slide, "train and export the slide model"),
        ("risk-factors", [table_data, out], _risk_factors, "train and export the risk-factor LSTMs"),
        ("history", [cohort, yardstick, out], _history, "train and export the LSTM on simulated screening histories"),
        ("active-learning", [cohort, out], _active_learning, "measure strategies for choosing which women to label next"),
        ("hybrid", [slide_data, cohort, out], _hybrid, "train and export the model that joins slide and history"),
        (GENERATE_RECIPE, [slide_data, out], _generate, "make tiles and measure what they are worth"),
        ("samples", [], _samples, "draw the sample slides anew, and the first page's picture as a bundle scores it"),
        ("drawn-gain", [slide_data, out], _drawn_gain, "measure what drawn tiles are worth beside few real ones"),
        ("build", [slide_data, table_data, cohort, yardstick, omics, out], _build, "train everything and assemble a bundle"),
    ):
        command = commands.add_parser(name, parents=parents, help=text, description=text)
        command.set_defaults(run=run, protocol=HONEST)
        if name == RISK_RECIPE:
            command.add_argument("--protocol", choices=[HONEST, LEAKY], help="leaky: only the table that shows how 0.99 arises")
        if name == GENERATE_RECIPE:
            command.add_argument("--minutes", type=float, help="of computing, over all runs (default: the recipe's)")
            command.add_argument("--judge", type=Path, help="bundle whose slide model judges (default: the active one)")
        if name == BOOSTING_RECIPE:
            command.add_argument(
                "--from", dest="parent", type=Path, default=SHIPPED_BUNDLE, help="bundle whose women it learns from"
            )
        if name == "samples":
            command.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="the bundle's folder")
        if name == "build":
            command.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="the bundle's folder")
            command.add_argument("--reuse", action="store_true", help="keep models already trained under --out")
    return parser


def _add_retrain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    settings = get_settings()
    text = "make a candidate bundle from labels"
    command = commands.add_parser("retrain", help=text, description=text)
    command.add_argument(
        "--labels", default=settings.label_store_url, help="address of the label store (default: that of the app's settings)"
    )
    command.add_argument("--from", dest="parent", type=Path, help="folder of the parent bundle (default: the active one)")
    command.add_argument(
        "--out", type=Path, help="folder of the candidate, which must not exist (default: a new one where the app looks)"
    )
    command.add_argument(
        "--model",
        action="append",
        default=[],
        help="id of a model; may be repeated (default: all models with labels)",
    )
    command.add_argument("--recipe", choices=RECIPES, default=next(iter(RECIPES)))
    command.add_argument("--seed", type=int, help="replaces the recipe's seed")
    command.add_argument("--by", default="command line", help="name for the audit trail")
    command.set_defaults(run=_retrain)


def _add_head(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "make a candidate bundle with a slide head over its slide model"
    command = commands.add_parser(HEAD_RECIPE, help=text, description=text)
    command.add_argument("--from", dest="parent", type=Path, help="folder of the parent bundle (default: the active one)")
    command.add_argument("--out", type=Path, required=True, help="folder of the candidate, which must not exist")
    command.set_defaults(run=_head)


def _add_models(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "make a candidate bundle with models that were trained before beside those of its parent"
    command = commands.add_parser("add", help=text, description=text)
    command.add_argument("models", nargs="+", metavar="MODEL", help="id of a model; its folder is under --parts")
    command.add_argument("--from", dest="parent", type=Path, default=SHIPPED_BUNDLE, help="folder of the parent bundle")
    command.add_argument("--parts", type=Path, default=BUILD_DIR, help=f"where they were trained (default {BUILD_DIR.name}/)")
    command.add_argument("--out", type=Path, required=True, help="folder of the candidate, which must not exist")
    command.set_defaults(run=_add)


def _add_cervix(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", data: Path) -> None:
    text = "make a candidate bundle from cervical slides of TCGA: estimate, fetch, cut, continue the slide model"
    command = commands.add_parser("cervix", help=text, description=text)
    _add_archive(command, data)
    command.add_argument("--out", type=Path, default=BUILD_DIR / "cervix", help="slides, tiles, stages (default build/cervix)")
    command.add_argument("--parent", type=Path, help="folder of the parent bundle (default: the active one)")
    command.add_argument("--candidates", type=Path, help="where the candidate's folder is made (default: where the app looks)")
    command.set_defaults(run=_cervix)


def _add_molecular_slide(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", omics: argparse.ArgumentParser, data: Path
) -> None:  # fmt: skip
    text = "measure slide and microRNA of the same patients of TCGA, alone and joined: estimate, fetch, cut, score, fuse"
    command = commands.add_parser(PAIRS_RECIPE, parents=[omics], help=text, description=text)
    _add_archive(command, data)
    command.add_argument("--bundle", type=Path, help="folder of the bundle whose tile model scores (default: the active one)")
    command.add_argument(
        "--out", type=Path, default=BUILD_DIR / "cervix", help="slides, tiles, stages, tables (default build/cervix)"
    )
    command.set_defaults(run=_molecular_slide)


def _add_archive(command: argparse.ArgumentParser, data: Path) -> None:
    """Where cervical slides are had from, how many, and whether to go on after the estimate."""
    from cervix.sources.idc import IDC_ADDRESS
    from training.data.tissue.gdc import GDC_API

    command.add_argument("--from", dest="source", choices=["gdc", "idc"], required=True, help="SVS files, or DICOM series")
    command.add_argument(
        "--addresses", type=Path, default=data / "tables/tcga_cesc_slides.csv", help="table of the DICOM series (with idc)"
    )
    command.add_argument("--yes", action="store_true", help="go on after the estimate")
    _add_choice_of_slides(command)
    command.add_argument("--gdc", default=GDC_API, help=f"address of the Genomic Data Commons (default {GDC_API})")
    command.add_argument("--idc", default=IDC_ADDRESS, help=f"address of a bucket (default {IDC_ADDRESS})")


def _add_choice_of_slides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, help="number of slides, balanced over the classes (default: all)")
    parser.add_argument("--smallest", action="store_true", help="the smallest files first")


def _add_drawn_settings(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "tune the drawn sample slides to a model, so that it answers them as they are meant"
    command = commands.add_parser("drawn-settings", help=text, description=text)
    command.add_argument(
        "--bundle", type=Path, default=SHIPPED_BUNDLE, help="a bundle, or the --out of a training of the slide model"
    )
    command.add_argument("--trials", type=int, default=0, help="of each tissue, those of an earlier run included (default 0)")
    command.add_argument("--seed", type=int, default=7)
    command.add_argument("--fresh", type=int, default=3, help="more slides of each kind to try afterwards (default 3)")
    command.add_argument("--out", type=Path, default=BUILD_DIR / "drawn", help="where trials and answers are written")
    command.add_argument("--write", action="store_true", help="write the best settings into cervix/slides/drawn/settings.toml")
    command.set_defaults(run=_drawn_settings)


def _add_sample_candidate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from cervix.sandbox.candidate import ARCHIVE

    text = "retrain the sample candidate of the demo from its made-up labels, and write it into the package"
    command = commands.add_parser("sample-candidate", help=text, description=text)
    command.add_argument(
        "--bundle", type=Path, default=SHIPPED_BUNDLE, help="its parent (default: the bundle that ships with the app)"
    )
    command.add_argument("--recipe", choices=RECIPES, default=next(iter(RECIPES)))
    command.add_argument("--out", type=Path, default=ARCHIVE, help="the archive (default: that of the package)")
    command.set_defaults(run=_sample_candidate)


def _add_wrap(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "make a proved bundle of a model from elsewhere (docs/bring-your-own-model.md)"
    command = commands.add_parser("wrap", help=text, description=text)
    command.add_argument("model", type=Path, help="a file .onnx, .keras or .pt (TorchScript), or the folder of a SavedModel")
    command.add_argument("--about", type=Path, required=True, help="what the graph does not show: about.toml")
    command.add_argument("--tiles", type=Path, help="of a tile model, labelled tiles: CSV of path, label, group, split")
    command.add_argument("--women", type=Path, help="of a table or sequence model, women as the app reads them")
    command.add_argument("--outcomes", type=Path, help="their outcomes: CSV of patient_id, label, split, group")
    command.add_argument("--slides", type=Path, help="of a slide head, labelled slides: CSV of path, label, group, split")
    command.add_argument("--beside", type=Path, help="the bundle with the tile model whose embeddings a slide head reads")
    command.add_argument("--out", type=Path, required=True, help="folder of the bundle, which must not exist")
    command.set_defaults(run=_wrap)


def _add_cohort_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--women", type=int, default=COHORT_WOMEN, help=f"eligible women (default {COHORT_WOMEN:,})")
    parser.add_argument("--seed", type=int, default=COHORT_SEED, help=f"equal seeds give equal bytes (default {COHORT_SEED})")


def _add_published(parser: argparse.ArgumentParser) -> None:
    data = Path(os.environ.get("CERVIX_DATA", "data"))
    parser.add_argument(
        "--published", type=Path, default=data / "tables/asccp_2019_risks.csv", help="published risks, the history's yardstick"
    )


def _add_data_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="SOURCE")
    text = "download open-access diagnostic slides of a TCGA project from the Genomic Data Commons"
    tcga = commands.add_parser("tcga", help=text, description=text)
    tcga.add_argument("--project", default="TCGA-CESC")
    tcga.add_argument("--out", type=Path, default=Path("data/tcga"), help="default data/tcga")
    _add_choice_of_slides(tcga)
    tcga.set_defaults(run=_tcga)
    text = "simulate a screening cohort: visits as CSV, the truth beside them, a data sheet"
    cohort = commands.add_parser("cohort", help=text, description=text)
    _add_cohort_options(cohort)
    cohort.add_argument("--out", type=Path, default=BUILD_DIR / "cohort", help="default build/cohort")
    cohort.set_defaults(run=_cohort)
    text = "fit the simulated cohort to published risks: a search that may take hours and can be broken off"
    fit = commands.add_parser("cohort-fit", help=text, description=text)
    _add_published(fit)
    fit.add_argument("--agents", type=int, default=100_000)
    fit.add_argument("--populations", type=int, default=3)
    fit.add_argument("--trials", type=int, default=60, help="in all, those of an earlier run included (default 60)")
    fit.add_argument("--seed", type=int, default=101)
    fit.add_argument("--out", type=Path, default=BUILD_DIR / "cohort-fit", help="default build/cohort-fit")
    fit.set_defaults(run=_cohort_fit)
    text = "cut labelled tiles from whole slides"
    tiles = commands.add_parser("tiles", help=text, description=text)
    tiles.add_argument("--slides", type=Path, required=True, help="CSV with path, label, source_group")
    tiles.add_argument("--out", type=Path, required=True)
    tiles.add_argument("--spacing", type=float, default=0.5, help="micrometres per pixel (default 0.5)")
    tiles.add_argument("--cap", type=int, default=200, help="tiles per slide at most (default 200)")
    tiles.set_defaults(run=_cut_tiles)
