"""``python -m training slide | risk-factors | build``: from data to a proven bundle."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

# TensorFlow's start-up messages hide the log of a run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from cervix.bundle.manifest import Model
from cervix.errors import CervixError
from cervix.settings import PROJECT_ROOT
from training.build import assemble_bundle

RECIPES_DIR = Path(__file__).parent / "recipes"
BUILD_DIR = PROJECT_ROOT / "build"
ENTRY_NAME = "model.json"
RISK_RECIPE = "risk-factors"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 on success, 1 with one sentence on stderr where something is not as it must be."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options, _stopwatch())
    except CervixError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _stopwatch() -> Callable[[str], None]:
    started = time.perf_counter()

    def log(message: str) -> None:
        print(f"[{time.perf_counter() - started:6.0f} s] {message}", flush=True)

    return log


def _slide(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.slide import train_slide_model

    recipe = RECIPES_DIR / f"{options.recipe}.toml"
    _save([train_slide_model(recipe, options.tiles, options.vgg16_weights, options.out, log)], options.out)


def _risk_factors(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    from training.risk_factors import train_risk_factors

    _save(train_risk_factors(RECIPES_DIR / f"{RISK_RECIPE}.toml", options.table, options.out, log), options.out)


def _build(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    for part, train in (("slide", _slide), ("risk-factors", _risk_factors)):
        if options.reuse and (options.out / part / ENTRY_NAME).is_file():
            log(f"{part}: reusing {options.out / part}")
        else:
            train(options, log)
    entries = sorted(options.out.glob(f"*/{ENTRY_NAME}"), key=lambda path: (path.parent.name != "slide", path))
    models = [Model.model_validate_json(path.read_bytes()) for path in entries]
    manifest = assemble_bundle(options.out, options.bundle, models)
    log(f"{manifest.name} {manifest.version} in {options.bundle}: {sum(f.bytes for f in manifest.files) / 1e6:.1f} MB")


def _save(models: list[Model], out_dir: Path) -> None:
    for model in models:
        (out_dir / model.id / ENTRY_NAME).write_text(model.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    data = Path(os.environ.get("CERVIX_DATA", "data"))
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    recipes = sorted(path.stem for path in RECIPES_DIR.glob("*.toml") if path.stem != RISK_RECIPE)

    slide_data = argparse.ArgumentParser(add_help=False)
    slide_data.add_argument("--recipe", choices=recipes, default="frozen-features")
    slide_data.add_argument("--tiles", type=Path, default=data / "tiles/lc25000_lung", help="folder with index.csv")
    slide_data.add_argument("--vgg16-weights", type=Path, help="Keras HDF5 file without the top; default: download")
    table_data = argparse.ArgumentParser(add_help=False)
    table_data.add_argument(
        "--table",
        type=Path,
        default=data / "tables/uci_risk_factors_cervical_cancer.csv",
        help="the UCI table",
    )
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument("--out", type=Path, default=BUILD_DIR, help=f"where to write (default {BUILD_DIR.name}/)")

    for name, parents, run, text in (
        ("slide", [slide_data, out], _slide, "train and export the slide model"),
        ("risk-factors", [table_data, out], _risk_factors, "train and export the risk-factor LSTMs"),
        ("build", [slide_data, table_data, out], _build, "train everything and assemble a bundle"),
    ):
        command = commands.add_parser(name, parents=parents, help=text, description=text)
        command.set_defaults(run=run)
        if name == "build":
            command.add_argument("--bundle", type=Path, default=PROJECT_ROOT / "bundle", help="the bundle's folder")
            command.add_argument("--reuse", action="store_true", help="keep models already trained under --out")
    return parser
