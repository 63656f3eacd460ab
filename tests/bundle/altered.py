"""Made bundles with something else in them."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pandas as pd
from pydantic import ValidationError

from cervix.bundle import Bundle
from cervix.bundle.manifest import UNEVALUATED, Manifest
from cervix.bundle.sessions import Arrays
from tests.bundle.made import write_risk_bundle


@lru_cache
def _risk_models() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        root = write_risk_bundle(Path(folder))
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def bundle_of_risk_models(root: Path) -> Path:
    """A bundle with the made risk-factor models alone: small, and quick to prove."""
    for name, content in _risk_models().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


HELD_AT_MOST_S = 180.0


@dataclass
class _Slow:
    """An ONNX session that rests before every batch."""

    session: Any
    rest_s: float

    def run(self, names: list[str], inputs: Arrays) -> Any:
        time.sleep(self.rest_s)
        return self.session.run(names, inputs)


def slowed(bundle: Bundle, rest_s: float = 0.2) -> Bundle:
    """The same bundle with a tile model that takes so long for every batch, as a large network does."""
    session = bundle.session_of("tile")
    slow = replace(session, session=_Slow(session.session, rest_s))
    return replace(bundle, sessions={**bundle.sessions, session.model.id: slow})


@dataclass
class _Held:
    """An ONNX session that answers nothing before it is let go."""

    session: Any
    let_go: Event

    def run(self, names: list[str], inputs: Arrays) -> Any:
        assert self.let_go.wait(HELD_AT_MOST_S), "nobody let it go"
        return self.session.run(names, inputs)


def held_up(bundle: Bundle, let_go: Event) -> Bundle:
    """The same bundle with a tile model that answers once the event is set."""
    session = bundle.session_of("tile")
    held = replace(session, session=_Held(session.session, let_go))
    return replace(bundle, sessions={**bundle.sessions, session.model.id: held})


def edit_manifest(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Read the manifest, change it and write it back."""
    path = root / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def replace_file(root: Path, name: str, content: bytes) -> None:
    """Write other content and make size and hash fit, so that only later checks can notice."""
    (root / name).write_bytes(content)

    def relist(manifest: dict[str, Any]) -> None:
        entry = next(file for file in manifest["files"] if file["path"] == name)
        entry["bytes"], entry["sha256"] = len(content), hashlib.sha256(content).hexdigest()

    edit_manifest(root, relist)


def change_predictions(root: Path, model_id: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Other held-out predictions, listed as if they had been exported so."""
    name = f"{model_id}/predictions.parquet"
    replace_file(root, name, change(pd.read_parquet(root / name)).to_parquet())


def candidate_of_risk_models(root: Path, version: str, *, worse: bool = False) -> Path:
    """Another bundle of the risk-factor models: as good as the first, so every promotion rule is met, or much worse."""
    bundle_of_risk_models(root)

    def other(manifest: dict[str, Any]) -> None:
        manifest["version"] = version
        manifest["models"][0]["seed"] += 1

    edit_manifest(root, other)
    if worse:
        change_predictions(root, "risk-factors", lambda frame: frame.assign(p_yes=frame["p_no"], p_no=frame["p_yes"]))
    return root


HOSTILE = (
    '![x](http://evil.example/a.png)<img src="http://evil.example/b"><script>alert(1)</script>'
    "[a](http://evil.example/c) \x07--> & </p> `x` $x$ :red[x] | *x*\n\n# y\n\n[1]: http://evil.example"
)
# What is looked up elsewhere: columns, tensors, classes, files.
KEYS = {"id", "task", "column", "names", "classes", "positive", "negative", "values", "output", "file", "path", "predictions"}


def hostile_texts(manifest: dict[str, Any]) -> int:
    """Put a hostile text into every field that takes one; how many those are."""
    return _poison(manifest, manifest)


def _poison(whole: dict[str, Any], part: Any) -> int:
    count = 0
    for key in list(part) if isinstance(part, dict) else range(len(part)):
        value = part[key]
        if key in KEYS or (isinstance(part, dict) and "dtype" in part and key == "name"):
            continue
        if isinstance(value, dict | list):
            count += _poison(whole, value)
        elif isinstance(value, str) and _takes(whole, part, key):
            count += 1
    return count


def _takes(whole: dict[str, Any], part: Any, key: Any) -> bool:
    was, part[key] = part[key], HOSTILE
    try:
        Manifest.model_validate(whole)
    except ValidationError:
        part[key] = was
        return False
    return True


def without_figures(made: Path, root: Path, *, of: str = "") -> Path:
    """A copy of a made bundle of which nobody measured any model, or one of that id; returns ``root``."""
    shutil.copytree(made, root)

    def bare(manifest: dict[str, Any]) -> None:
        for model in (item for item in manifest["models"] if of in ("", item["id"])):
            told = model.pop("evaluation")
            gone = {told["predictions"], *(table["file"] for table in told["tables"])}
            manifest["files"] = [file for file in manifest["files"] if file["path"] not in gone]
            for name in gone:
                (root / name).unlink()
            model["limits"][0] = f"{UNEVALUATED} {model['limits'][0]}"
            model["calibration"]["tests"] = []

    edit_manifest(root, bare)
    return root
