"""Golden tables: what a bundle says must come of a table, held against what this app makes of it.

A bundle carries a small CSV for each model of patients. Here it is read as a file that people bring, encoded by the manifest
and scored: a reader, a word, a code or a grade that has changed since the model was made stops the bundle, and says so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cervix.bundle.loading import Bundle, GoldenCheck, golden_arrays, load_bundle, replay_golden, verify_bundle
from cervix.bundle.manifest import FeatureEncoding, FeatureInput, ModelKind
from cervix.bundle.sessions import Arrays, Device, ModelSession
from cervix.errors import BundleError, PatientFileError
from cervix.molecular.golden import replay_markers
from cervix.patients.encoding import OTHER_APP, require_readable
from cervix.patients.reading import PatientTable, read_patients
from cervix.patients.scoring import feature_array
from cervix.patients.sequences import encode
from cervix.patients.visits import VisitTable, read_visits
from cervix.patients.vocabulary import PATIENT_ID


def prove_bundle(
    root: Path, *, device: Device = "auto", kind: ModelKind | None = None, threads: int | None = None
) -> Bundle:  # fmt: skip
    """``load_bundle``, golden tables included: the bundle as it is used; ``BundleError`` where it does not prove itself."""
    return load_bundle(root, device=device, tables=GoldenTables(), kind=kind, threads=threads)


def prove_variants(root: Path, *, device: Device = "auto") -> list[GoldenCheck]:
    """``verify_bundle``, golden tables included.

    Raises
    ------
    BundleError
        As ``verify_bundle``, and where a golden table is not read or encoded as the bundle says.
    """
    return verify_bundle(root, device=device, tables=GoldenTables())


class GoldenTables:
    """Reads, encodes and scores the golden tables of a bundle (``TableReplay``). Equal tables of two models are read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[bytes, bool], VisitTable | PatientTable] = {}

    def __call__(self, session: ModelSession, contents: Mapping[str, bytes]) -> GoldenCheck | None:
        """The check of one model; None for a model of tiles.

        Parameters
        ----------
        contents : path -> content
            The files of the bundle.

        Raises
        ------
        BundleError
            If the table is not read, or not encoded, exactly as the bundle says. Whether the answers are those that the
            bundle says is for the check to tell.
        """
        if session.model.kind == "molecular":
            return replay_markers(session, contents)
        features = session.model.features
        if features is None:
            return None
        require_readable(features, session.model.id)
        file, vectors = features.golden_table.file, features.golden_table.vectors
        try:
            table = self._table(contents[file], one_row=features.visits == 1)
        except PatientFileError as error:
            raise _not_as_before(file, session.model.id, "a table that can be read", str(error)) from error
        ids, found = encoded_table(table, features.encoding, features.episode_days)
        try:
            golden = golden_arrays(contents[vectors])
            expected = {name: golden[f"input:{name}"] for name in found}
        except Exception as error:  # numpy promises no set of exceptions for damaged archives and headers
            raise BundleError(f"{vectors} does not hold the arrays of {file}", found=str(error)[:80]) from error
        unread = "".join(f"{problem.column} {problem.value!r} was not read" for problem in table.problems[:1])
        for name, values in found.items():
            if difference := _first_difference(expected[name], values, ids, features):
                told, seen = difference
                raise _not_as_before(file, session.model.id, f"{name}: {told}", "; ".join(filter(None, (seen, unread))))
        if unread:
            raise _not_as_before(file, session.model.id, "a table that is read whole", unread)
        return replay_golden(session, contents[vectors], file)

    def _table(self, content: bytes, *, one_row: bool) -> VisitTable | PatientTable:
        key = content, one_row
        if key not in self._read:
            self._read[key] = read_patients(content) if one_row else read_visits(content)
        return self._read[key]


def encoded_table(
    table: VisitTable | PatientTable, encoding: Sequence[FeatureEncoding], episode_days: int | None = None
) -> tuple[list[str], Arrays]:
    """Pseudonyms in order, and the inputs of a model that come from a table, by name, as the app feeds them."""
    if isinstance(table, PatientTable):
        ids = table.frame.get(PATIENT_ID, pd.Series(table.frame.index)).astype(str).tolist()
        return ids, {"features": feature_array(table.frame, [feature.column for feature in encoding])}
    histories = encode(table.frame, encoding, episode_days)
    return [str(name) for name in histories.patient_ids], histories.padded(np.arange(len(histories)))


def _first_difference(
    expected: np.ndarray, found: np.ndarray, ids: list[str], features: FeatureInput
) -> tuple[str, str] | None:
    """Where two arrays first differ, in words: what was expected and what was found; None where they do not."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return f"{expected.dtype} {expected.shape}", f"{found.dtype} {found.shape}"
    differs = expected != found
    if np.issubdtype(found.dtype, np.floating):
        differs &= ~(np.isnan(expected) & np.isnan(found))
    if not differs.any():
        return None
    place = tuple(int(index) for index in np.argwhere(differs)[0])
    where = f" of {ids[place[0]]}"
    if len(place) > 1:
        where = f" {features.names[place[2]]}{where} at step {place[1] + 1}"
    return f"{_number(expected[place])}{where}", _number(found[place])


def _number(value: np.generic) -> str:
    return "not known" if np.isnan(value) else f"{value:g}"


def _not_as_before(file: str, model_id: str, expected: str, found: str) -> BundleError:
    return BundleError(
        f"The app makes something else of {file} than model {model_id} was made with",
        expected=expected,
        found=found,
        action=OTHER_APP,
    )
