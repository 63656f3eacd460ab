"""A bundle as a folder for the Hugging Face hub: the card, the files of the bundle, what they were made from; no code."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Final

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle.manifest import MANIFEST_NAME, SCHEMA_NAME, UNEVALUATED, TrainingData, json_schema
from cervix.bundle.sessions import Device
from cervix.bundle.signature import SIGNATURE_NAME, signature_of
from cervix.card.markdown import model_card
from cervix.errors import BundleError
from cervix.interop.folders import folder_written_whole, require_free
from cervix.interop.proved_files import ProvedFiles, proved_files
from cervix.patients.golden import prove_bundle
from cervix.plain_text import escaped
from cervix.settings import PROJECT_ROOT

KIND: Final = "Hugging Face folder"
DATA_ALONE: Final = frozenset({".onnx", ".npz", ".csv", ".parquet", ".json"})
"""Endings of files of a bundle: graphs, arrays and tables. Nothing that runs by itself, and no pickle."""
LARGE_FILES: Final = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in (".onnx", ".npz", ".parquet"))
APACHE: Final = "apache-2.0"


def export_hub(root: Path, target: Path, *, device: Device = "cpu") -> None:
    """Write a bundle as a folder that can be uploaded to the hub as it is, and loaded as a bundle from there.

    Raises
    ------
    BundleError
        Where the bundle does not prove itself, or holds a file that is no graph, array or table.
    NameRefused
        Where ``target`` holds anything but an earlier export.
    """
    require_free(target, KIND)
    files = proved_files(root, device=device)
    if odd := sorted(name for name in files.contents if PurePosixPath(name).suffix not in DATA_ALONE):
        raise BundleError(
            "The bundle holds a file of a kind that is not published",
            expected=", ".join(sorted(DATA_ALONE)),
            found=PurePosixPath(odd[0]).suffix or "no suffix",
        )
    card = model_card(prove_bundle(root, device=device))
    manifest, signature = (root / MANIFEST_NAME).read_bytes(), signature_of(root)
    with folder_written_whole(target, KIND, files.origin) as folder:
        for name, content in files.contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / MANIFEST_NAME).write_bytes(manifest)
        if signature is not None:
            (folder / SIGNATURE_NAME).write_bytes(signature)
        (folder / SCHEMA_NAME).write_text(json_schema(), encoding="utf-8")
        (folder / "README.md").write_text(f"{card.rstrip()}\n\n{how_to_use(files)}", encoding="utf-8")
        (folder / "DATA.md").write_text("\n".join(data_statement(files)) + "\n", encoding="utf-8")
        (folder / "LICENSE").write_text(licence_text(files), encoding="utf-8")
        (folder / ".gitattributes").write_text(LARGE_FILES, encoding="utf-8")


def how_to_use(files: ProvedFiles) -> str:
    """The last section of the hub's README: what the folder holds, and what of it was tried."""
    return f"""## This folder

> **{RESEARCH_NOTICE}**

The bundle {escaped(files.label)} as it is, exported by Cervix Workbench {__version__}: ONNX graphs with their
preprocessing, golden vectors, held-out predictions and tables, `manifest.json` with the SHA-256 of each; `DATA.md`, what the
models learned from; `LICENSE`. No code and no pickle. Download it, then:

```
python -m cervix bundle verify DIR
python -m cervix slide SLIDE --bundle DIR --out RESULTS
```

Tried when it was written: every variant answered its golden vectors ({escaped(files.cases)}). The project's tests read
this page with the hub's own library and load the folder back. **It was not uploaded anywhere, and the hub's own
checks were not run.**
"""


def data_statement(files: ProvedFiles) -> Iterator[str]:
    """What the models learned from, source by source."""
    yield "# Data statement\n"
    yield f"> **{RESEARCH_NOTICE}**\n"
    yield f"Of the bundle {escaped(files.label)}. None of the data is in this folder but what the manifest lists.\n"
    for model in files.manifest.models:
        yield f"## {escaped(model.title)}\n"
        if not model.is_evaluated:
            yield f"**{UNEVALUATED}**\n"
        for data in model.training_data:
            yield from _source(data)


def _source(data: TrainingData) -> Iterator[str]:
    yield f"### {escaped(data.name)} ({data.nature})\n"
    yield f"{escaped(data.described)}\n"
    yield f"- Licence: {escaped(data.licence)}"
    yield f"- Source: {escaped(data.citation)}"
    yield f"- Split by: {escaped(data.grouped_by)}"
    for split, counts in data.counts.items():
        total = ", ".join(f"{escaped(label)} {count:,}" for label, count in counts.items())
        yield f"- {escaped(split)}: n = {sum(counts.values()):,} in {data.groups.get(split, 0):,} independent groups ({total})"
    yield ""


def licence_text(files: ProvedFiles) -> str:
    """The licence of each part, and the text of ours."""
    facts = files.manifest.card
    parts = "\n".join(f"{one.part}: {one.licence}. {one.note}".rstrip() for one in facts.licences)
    return f"{RESEARCH_NOTICE}\n\n{parts}\n\n{_apache() if facts.licence_id == APACHE else facts.licence_id}\n"


def _apache() -> str:
    """The text of the licence, from the checkout or from what was installed."""
    beside = PROJECT_ROOT / "LICENSE"
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    try:
        installed = distribution("cervix-workbench").read_text("licenses/LICENSE")
    except PackageNotFoundError:
        installed = None
    return installed or "Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0"
