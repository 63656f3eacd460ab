"""A file of women read, scored and told: the same for one that is answered at once and for a job."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import JsonValue

from cervix.api.told import (
    PATIENT_EXPORTS,
    CompletenessTold,
    PatientOptions,
    PatientsResult,
    QuestionTold,
    RowProblemTold,
    StepTold,
    WomanTold,
)
from cervix.bundle import Bundle, ModelSession
from cervix.errors import CallRefused, UploadTooLarge
from cervix.files import inert
from cervix.interop.fhir.women import fhir_pieces
from cervix.interop.patient_files import read_patient_file
from cervix.patients.completeness import CELLS, CONTRADICTIONS, IN_FILE, INCOMPLETE, RESTS_ON, USED, completeness_of
from cervix.patients.guideline import with_steps
from cervix.patients.guideline.step import STEP, STEP_REASON, STEP_RESTS_ON
from cervix.patients.history_scoring import score_visits
from cervix.patients.questions import Answers
from cervix.patients.reading import PatientTable
from cervix.patients.scoring import NO_ANSWER, score_patients
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID
from cervix.provenance import Provenance, provenance_of

MOST_ROWS: Final = 200_000
"""More is work for ``python -m cervix archive score``, which keeps memory flat."""
ROWS_A_PIECE: Final = 5000
_TYPED: Final = frozenset(
    {PATIENT_ID, NO_ANSWER, "abstained", "flagged", STEP, STEP_RESTS_ON, STEP_REASON}
    | {IN_FILE, USED, CELLS, CONTRADICTIONS, INCOMPLETE, RESTS_ON}
)


@dataclass(frozen=True)
class Answered:
    """A file of women that was scored."""

    table: VisitTable | PatientTable
    scores: pd.DataFrame
    session: ModelSession
    origin: Provenance

    @property
    def held_bytes(self) -> int:
        """About what it takes in memory."""
        frames = (self.scores, self.table.frame)
        return int(sum(frame.memory_usage(index=True, deep=True).sum() for frame in frames))


def answered_file(content: bytes, options: PatientOptions, bundle: Bundle, *, on_progress: Any = None) -> Answered:
    """A file read and scored, as the command line does; raises as ``read_file`` and ``answered``."""
    return answered(read_file(content, options), options, bundle, on_progress=on_progress)


def read_file(content: bytes, options: PatientOptions) -> VisitTable | PatientTable:
    """A file of women, read.

    Raises
    ------
    PatientFileError
        Where it cannot be read as a whole.
    UploadTooLarge
        Where it has more rows than ``MOST_ROWS``.
    """
    table = read_patient_file(content, strict=options.strict, answers=Answers(options.dates, options.minus))
    if len(table.frame) > MOST_ROWS:
        raise UploadTooLarge(
            "The table has too many rows for one call",
            expected=f"at most {MOST_ROWS:,}",
            found=f"{len(table.frame):,}",
            action="Score it with `python -m cervix archive score`, or send it in parts, each woman whole.",
        )
    return table


def answered(
    table: VisitTable | PatientTable, options: PatientOptions, bundle: Bundle, *, on_progress: Any = None
) -> Answered:  # fmt: skip
    """Women scored; ``CallRefused`` where the model named is none for such a table."""
    there = [model.id for model in bundle.manifest.of_kind(table.model_kind)]
    if not there or options.model not in (None, *there):
        raise CallRefused("There is no such model for this table", expected=" or ".join(there) or "a bundle with one")
    session = bundle.session_of(table.model_kind, options.model or "")
    if isinstance(table, VisitTable):
        scores = with_steps(score_visits(table, session, on_progress=on_progress), table.frame, bundle, session.model)
    else:
        scores = score_patients(table, session, on_progress=on_progress)
    return Answered(table, scores, session, provenance_of(bundle, session.model.id))


def result_of(answered: Answered, job: str) -> PatientsResult:
    """The answers as they are told."""
    table, scores, model = answered.table, answered.scores, answered.session.model
    questions = table.questions if isinstance(table, VisitTable) else []
    return PatientsResult(
        job=job,
        provenance=answered.origin,
        model=model.id,
        first_limit=model.limits[0],
        exports=list(PATIENT_EXPORTS),
        women=len(scores),
        rows_left_out=table.rows_left_out,
        notices=table.notices,
        questions=[QuestionTold(option=one.name, question=one.title, choices=dict(one.choices)) for one in questions],
        problems=[
            RowProblemTold(
                row=one.row, patient=one.patient, column=one.column, value=one.value, accepted=one.accepted, became=one.became
            )
            for one in table.problems
        ],
        patients=[_woman(int(str(line)), row) for line, row in zip(scores.index, scores.to_dict("records"), strict=True)],
    )


def csv_pieces(answered: Answered) -> Iterator[str]:
    """The scores as CSV, some rows at a time, as the command line writes them."""
    for start in range(0, max(1, len(answered.scores)), ROWS_A_PIECE):
        rows = answered.scores.iloc[start : start + ROWS_A_PIECE]
        yield inert(answered.origin.stamp(rows.reset_index())).to_csv(index=False, header=start == 0)


def fhir_text(answered: Answered, version: str) -> Iterator[str]:
    """The answers as a FHIR bundle, piece by piece."""
    frame, model = answered.table.frame, answered.session.model
    return fhir_pieces(answered.scores, frame, model, answered.origin, "R4" if version == "R4" else "R5")


def _woman(line: int, row: dict[Any, Any]) -> WomanTold:
    risks = {name.removeprefix("risk_"): _json(value) for name, value in row.items() if name == "risk" or name[:5] == "risk_"}
    rests = completeness_of(row)
    step = StepTold(step=row[STEP], rests_on=row[STEP_RESTS_ON], reason=row[STEP_REASON]) if STEP in row else None
    return WomanTold(
        row=line,
        patient_id=str(row.get(PATIENT_ID, "")),
        answered=not row["abstained"],
        no_answer=str(row[NO_ANSWER]),
        risks=risks,
        flagged=bool(row["flagged"]),
        completeness=CompletenessTold(
            visits_in_file=rests.visits_in_file,
            visits_used=rests.visits_used,
            cells_not_read=rests.cells_not_read,
            contradictions=rests.contradictions,
            note=rests.note,
        ),
        guideline=step,
        columns={name: _json(value) for name, value in row.items() if name not in _TYPED and name[:4] != "risk"},
    )


def _json(value: object) -> Any:
    """A cell of a score table as JSON has it: what is not there is null."""
    plain: JsonValue | object = value.item() if isinstance(value, np.generic) else value
    if plain is None or plain is pd.NaT or (isinstance(plain, float) and not math.isfinite(plain)):
        return None
    if isinstance(plain, datetime | date):
        return plain.isoformat()[:10]
    return plain if isinstance(plain, bool | int | float | str) else str(plain)
