"""Golden tables of markers: what a bundle says must come of a CSV, held against what this app makes of it."""

from collections.abc import Mapping

import numpy as np

from cervix.bundle.loading import GoldenCheck, golden_arrays, replay_golden
from cervix.bundle.sessions import ModelSession
from cervix.errors import BundleError, PatientFileError
from cervix.molecular.reading import read_markers
from cervix.molecular.scoring import markers_of

OTHER_APP = "Use a bundle that was made with this version of the app, or the app that the bundle was made with."


def replay_markers(session: ModelSession, contents: Mapping[str, bytes]) -> GoldenCheck:
    """Read and score the golden table of a molecular model.

    Raises
    ------
    BundleError
        If the table is not read exactly as the bundle says. Whether the answers are the bundle's is for the check to tell.
    """
    markers = markers_of(session)
    file, vectors = markers.golden_table.file, markers.golden_table.vectors
    try:
        table = read_markers(contents[file], markers)
    except PatientFileError as error:
        raise _not_as_before(file, session.model.id, "a table that can be read", str(error)) from error
    try:
        expected = golden_arrays(contents[vectors])["input:rpm"]
    except Exception as error:  # numpy promises no set of exceptions for damaged archives and headers
        raise BundleError(f"{vectors} does not hold the arrays of {file}", found=str(error)[:80]) from error
    if table.problems:
        raise _not_as_before(file, session.model.id, "a table that is read whole", f"{len(table.problems)} problems")
    if expected.shape != table.rpm.shape:
        raise _not_as_before(file, session.model.id, f"an array {expected.shape}", str(table.rpm.shape))
    if not np.array_equal(expected, table.rpm, equal_nan=True):
        row, column = np.argwhere(~((expected == table.rpm) | (np.isnan(expected) & np.isnan(table.rpm))))[0]
        found = f"{table.rpm[row, column]:g}"
        raise _not_as_before(
            file, session.model.id, f"{markers.names[column]} {expected[row, column]:g} in row {row + 1}", found
        )
    return replay_golden(session, contents[vectors], file)


def _not_as_before(file: str, model_id: str, expected: str, found: str) -> BundleError:
    return BundleError(
        f"The app makes something else of {file} than model {model_id} was made with",
        expected=expected, found=found, action=OTHER_APP,
    )  # fmt: skip
