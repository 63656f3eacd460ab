"""Whether tests see a changed clinical constant: each is changed alone, and the test that pins it must turn red.

A mutant is made in memory: a forked process imports the module with one literal changed and runs the check named beside it.
"""

import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType

import pandas as pd

ROOT = Path(__file__).parents[1]
# Each has a function ``check`` that raises where a constant is not as pinned.
PATIENTS, LIMITS, SHIPPED = "tests.patients.test_clinical_tables", "tests.test_pinned_limits", "tests.test_shipped_bundle"
FHIR = "tests.interop.test_fhir_codes"


@dataclass(frozen=True)
class Place:
    """Constants of one module, and the tests that see them.

    Attributes
    ----------
    names : tuple of str
        Of module-level assignments; every number and string in them is a constant.
    numbers_only : bool
        Strings are labels for people.
    """

    module: str
    names: tuple[str, ...]
    tests: str
    numbers_only: bool = False


PLACES = (
    Place("cervix.patients.codes", ("CODES",), PATIENTS),
    Place("cervix.patients.encoding", ("VISIT_FEATURES",), PATIENTS),
    Place("cervix.patients.words", (
        "RESULTS", "ANSWERS", "WORDS", "NOT_KNOWN", "MINUS", "FILLERS", "BARE_ANSWERS", "HIGH_RISK",
        "POSSIBLY_HIGH_RISK", "LOW_RISK", "TYPE_GROUPS", "OTHER_HIGH_RISK", "HEADERS", "PATIENT_HEADERS", "MONTHS", "SUMMARIES",
    ), PATIENTS),
    Place("cervix.interop.fhir.coding", ("TESTS", "ANSWERS", "PROCEDURES", "CONDITIONS"), FHIR),
    Place("cervix.patients.vocabulary", ("RISK_FACTORS", "OTHER_TESTS", "OUTCOME"), PATIENTS, numbers_only=True),
    Place("cervix.patients.guideline.ladder", (
        "EXPEDITED_AGE", "AT_ONCE_TASK", "STAND_IN_TASK", "FIVE_YEAR_TASK", "COLPOSCOPY", "ONE_YEAR", "THREE_YEARS", "LADDER",
    ), PATIENTS),
    Place("cervix.patients.guideline.course", ("SMEARS", "GROUPS", "SMEAR_OF", "LESS_THAN_CIN2", "TREATED_CIN"), PATIENTS),
    Place("cervix.patients.guideline.published", ("AGES", "AT_COLPOSCOPY"), PATIENTS),
    Place("cervix.patients.guideline.rules", (
        "HORIZON_YEARS", "COLPOSCOPY_CYTOLOGY", "HPV_TYPES", "SMEAR_ALONE", "SURVEILLANCE_ALONE", "TREATED_AT_MOST",
    ), PATIENTS),
    Place("cervix.patients.diagnosis", ("PRECANCER", "CANCER", "TREATMENTS", "HYSTERECTOMY", "_RANK"), PATIENTS),
)  # fmt: skip
MANIFEST = "bundle/manifest.json"
# What the models of the shipped bundle may say: limits that stand in its manifest.
OF_THE_MANIFEST = ("thresholds", "abstention", "slide_rule")


@dataclass(frozen=True)
class Mutant:
    """One changed literal.

    Attributes
    ----------
    where : str
        Module, or a path in the manifest.
    node : int
        Which literal of the assignment, in order of the syntax tree; of the manifest always 0.
    """

    where: str
    name: str
    node: int
    old: str
    new: str | float
    tests: str


def mutants(jobs: int) -> pd.DataFrame:
    """One row a constant: its changes, how many of them some test saw, and those that none did in words.

    Raises what a check raises where nothing is changed.
    """
    # Loaded once; a fork imports anew only the rooms in which a constant may have changed.
    for name in (PATIENTS, FHIR, LIMITS, SHIPPED):
        importlib.import_module(name)
    gc.freeze()
    changes = every_change()
    # The first of each place with its own value: where that is "seen", the check fails by itself and sees nothing.
    firsts = {change.where: change for change in reversed(changes)}.values()
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        controls = [pool.apply_async(_check, (replace(change, new=ast.literal_eval(change.old)),)) for change in firsts]
        for control in controls:
            control.get()
        checks = [pool.apply_async(_check, (change,)) for change in changes]
        for number, check in enumerate(checks, 1):
            check.wait()
            if number % 100 == 0:
                print(f"{number} of {len(checks)} changes tried", flush=True)
    told = pd.DataFrame(
        {
            "where": [change.where for change in changes],
            "constant": [change.name for change in changes],
            "change": [f"{change.old} -> {change.new!r}" for change in changes],
            "seen": [not check.successful() for check in checks],
        }
    )
    survivors = told[~told["seen"]].groupby(["where", "constant"], sort=False)["change"].agg("; ".join)
    table = told.groupby(["where", "constant"], sort=False)["seen"].agg(changes="size", seen="sum")
    return table.assign(survivors=survivors).fillna({"survivors": ""}).reset_index()


def every_change() -> list[Mutant]:
    """Raises ``LookupError`` where a constant is no longer in its module."""
    places = (*PLACES, *_pinned_limits())
    return [*(mutant for place in places for mutant in _of_module(place)), *_of_the_manifest()]


def _source(module: str) -> Path:
    return ROOT / Path(*module.split(".")).with_suffix(".py")


def _literals(tree: ast.Module, name: str) -> list[ast.Constant]:
    """Numbers and strings of a module-level assignment."""
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        called = {node.id for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)}
        value = getattr(statement, "value", None)
        if name in called and value is not None:
            titles = list(_titles(value))
            literals = (node for node in ast.walk(value) if isinstance(node, ast.Constant) and node not in titles)
            return [node for node in literals if _changed(node.value)]
    raise LookupError(f"{name} is no longer where its mutants are made")


def _titles(value: ast.AST) -> Iterator[ast.AST]:
    """Words for people: nothing is computed from them."""
    for call in ast.walk(value):
        if isinstance(call, ast.Call):
            yield from (keyword.value for keyword in call.keywords if keyword.arg == "label")
            if ast.unparse(call.func) == "Coded":
                title, _, *features = call.args
                yield title
                yield from (label for named in features if isinstance(named, ast.Dict) for label in named.values)


def _changed(value: object) -> list[str | float]:
    """What a literal may become: a number a little more, of a list of words each word another in turn."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        return [value * 1.01 + 0.001]
    if isinstance(value, str):
        words = value.split(";")
        return [";".join([*words[:at], f"{word}q", *words[at + 1 :]]) for at, word in enumerate(words)]
    return []


def _of_module(place: Place) -> Iterator[Mutant]:
    tree = ast.parse(_source(place.module).read_text(encoding="utf-8"))
    for name in place.names:
        for at, node in enumerate(_literals(tree, name)):
            if not (place.numbers_only and isinstance(node.value, str)):
                for new in _changed(node.value):
                    yield Mutant(place.module, name, at, repr(node.value), new, place.tests)


@cache
def _pinned_limits() -> tuple[Place, ...]:
    rows = pd.read_csv(ROOT / "tests/pinned_limits.csv").itertuples()
    return tuple(Place(row.module, (row.constant,), LIMITS) for row in rows)


def _of_the_manifest() -> Iterator[Mutant]:
    models = json.loads((ROOT / MANIFEST).read_text(encoding="utf-8"))["models"]
    for at, model in enumerate(models):
        for name, number in _numbers({key: model[key] for key in OF_THE_MANIFEST}):
            yield Mutant(MANIFEST, f"{at} {name}", 0, f"{number}", _changed(number)[0], SHIPPED)


def _numbers(value: object, at: str = "") -> Iterator[tuple[str, float]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from _numbers(one, f"{at} {key}".strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield at, value


class _Changing(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    """Imports one module with a literal changed."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:  # noqa: ARG002
        source = _source(self.mutant.where)
        return importlib.util.spec_from_file_location(name, source, loader=self) if name == self.mutant.where else None

    def exec_module(self, module: ModuleType) -> None:
        tree = ast.parse(_source(self.mutant.where).read_text(encoding="utf-8"))
        _literals(tree, self.mutant.name)[self.mutant.node].value = self.mutant.new
        exec(compile(tree, str(module.__file__), "exec"), module.__dict__)


def _check(mutant: Mutant) -> None:
    """The test's own ``check`` with the mutant in place; raises where it sees it. Runs in a process of its own."""
    if mutant.where == MANIFEST:
        _change_the_manifest(mutant)
    else:
        rooms = {place.module.rpartition(".")[0] for place in (*PLACES, *_pinned_limits())}
        for name in [name for name in sys.modules if name.startswith((*rooms, "tests."))]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Changing(mutant))
    importlib.import_module(mutant.tests).check()


def _change_the_manifest(mutant: Mutant) -> None:
    """The shipped manifest is read with another number in it."""
    from cervix.bundle.manifest import Manifest

    read = Manifest.model_validate_json
    model, *keys, last = (int(key) if key.isdecimal() else key for key in mutant.name.split())

    def changed(text: bytes) -> Manifest:
        found = json.loads(text)
        place = found["models"][model]
        for key in keys:
            place = place[key]
        place[last] = mutant.new
        return read(json.dumps(found))

    Manifest.model_validate_json = changed  # type: ignore[method-assign, assignment]
