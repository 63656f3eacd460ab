"""The tool about one pseudonymous woman of a table: her risk, her course, what drove it, the guideline's step."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cervix.api.told import CompletenessTold
from cervix.api.women import Answered, answered, read_file
from cervix.bundle import Bundle, ModelSession
from cervix.errors import CallRefused, PatientFileError, UploadTooLarge
from cervix.intake.inbox import file_in_inbox
from cervix.mcp_server.asked import WomanAsked
from cervix.mcp_server.call import TABLE_BYTES_AT_MOST, Call
from cervix.mcp_server.told import Explained, Factor, GuidelineTold, RiskTold, StepOfCourse, WomanTold
from cervix.patients.completeness import completeness_of
from cervix.patients.csv_text import header_of
from cervix.patients.diagnosis import TREATED
from cervix.patients.explanation import explain_patient, value_words
from cervix.patients.guideline import published_tables, step_for
from cervix.patients.history_explanation import explain_history, explain_results
from cervix.patients.history_scoring import beyond_note, histories_of, trajectory
from cervix.patients.reading import PatientTable
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.shapley import EXACT_PLAYERS
from cervix.patients.visit_vocabulary import VISIT_COLUMNS, identifies, looks_identifying, visit_column
from cervix.patients.visit_words import codes_found, finding_words, visit_words
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID, is_patient_id, recognise
from cervix.settings import get_settings
from cervix.sources.json_text import is_json
from cervix.web.bundles import active_proved

NAMES_GO_NOWHERE = "Take them out, and ask again: what this server is told may reach a model somewhere else."


def explain_woman(asked: WomanAsked, _: Call) -> WomanTold:
    """One woman of a table, scored and explained. Neither table nor answer is kept.

    Raises
    ------
    CallRefused
        Where the table seems to name persons, or has no such woman.
    PatientFileError, UploadTooLarge
        Where it cannot be read as a whole, or is too large.
    """
    content = _content(asked)
    _refuse_names(content)
    table = read_file(content, asked)
    if PATIENT_ID not in table.frame:
        raise CallRefused("The table has no pseudonyms", expected="a column patient_id", found="none")
    if any(looks_identifying(str(one)) for one in table.frame[PATIENT_ID].unique()):
        raise CallRefused("Some patient ids look like names, numbers or addresses of persons", action=NAMES_GO_NOWHERE)
    hers = table.frame[table.frame[PATIENT_ID] == asked.pseudonym]
    if hers.empty:
        raise CallRefused(
            "The table has no such woman", expected="a patient_id of it, letter by letter",
            found=f"{table.frame[PATIENT_ID].nunique():,} others, {table.rows_left_out:,} rows that cannot be used",
        )  # fmt: skip
    bundle = active_proved()
    told = answered(replace(table, frame=hers), asked, bundle)
    return _told(told, asked.pseudonym, bundle)


def _content(asked: WomanAsked) -> bytes:
    if asked.table is not None:
        return _small(asked.table.encode())
    path = file_in_inbox(get_settings().inbox, str(asked.inbox))
    if path is None:
        raise CallRefused("There is no such table in an inbox folder")
    return _small(_beginning(path))


def _beginning(path: Path) -> bytes:
    """A file, or more of it than it may have."""
    try:
        with path.open("rb") as file:
            return file.read(TABLE_BYTES_AT_MOST + 1)
    except OSError as error:
        raise PatientFileError("The table cannot be read", found=error.strerror or "") from error


def _small(content: bytes) -> bytes:
    if len(content) > TABLE_BYTES_AT_MOST:
        raise UploadTooLarge(
            "The table is too large for one call",
            expected=f"at most {TABLE_BYTES_AT_MOST / 1e6:g} MB",
            action="Score it with `python -m cervix patients`, or ask with her rows alone.",
        )
    return content


def _refuse_names(content: bytes) -> None:
    """Raises ``CallRefused`` where a column looks like that of names, birth dates or addresses, which readers pass over."""
    if is_json(content):
        raise CallRefused("Results as FHIR name persons", expected="a table of pseudonymous women", found="JSON")
    header = header_of(content)
    personal = [at for at, cell in enumerate(header, 1) if identifies(cell) and not _is_ours(cell)]
    if personal:
        raise CallRefused(
            "The table seems to name persons",
            expected="no column of names, birth dates, addresses or personal numbers",
            # By their places: without a header the first row is somebody's.
            found=f"such a column at {', '.join(map(str, personal[:10]))}, counted from 1",
            action=NAMES_GO_NOWHERE,
        )


def _is_ours(cell: str) -> bool:
    return is_patient_id(cell) or visit_column(cell) is not None or recognise(cell) is not None


def _told(of: Answered, pseudonym: str, bundle: Bundle) -> WomanTold:
    row, session = of.scores.iloc[0], of.session
    model, is_answered = session.model, not row["abstained"]
    explained = guideline = None
    if isinstance(of.table, VisitTable):
        explained = _history(of.table.frame, session) if is_answered else None
        step = step_for(of.table.frame, row, model, published_tables(bundle, model))
        guideline = GuidelineTold(headline=step.headline, action=step.action, rests_on=step.rests_on, lines=list(step.lines))
    elif is_answered:
        explained = _factors(of.table, session)
    questions = {task.id: task.title for task in model.derived_tasks}
    first = model.derived_tasks[0]
    rests = completeness_of(row)
    own = [problem for problem in of.table.problems if problem.patient == pseudonym or problem.row in of.table.frame.index]
    return WomanTold(
        provenance=of.origin,
        pseudonym=pseudonym,
        model=model.id,
        answered=is_answered,
        no_answer=str(row[NO_ANSWER]),
        risks=_risks(row, questions, "risk_") or [RiskTold(question=first.id, title=first.title, risk=row["risk"])],
        after_treatment=_risks(row, questions, "after_treatment_") if row.get(TREATED) else [],
        lowest=row.get("lowest"),
        highest=row.get("highest"),
        threshold=model.threshold(first.id),
        flagged=bool(row["flagged"]),
        explained=explained,
        guideline=guideline,
        completeness=CompletenessTold(
            visits_in_file=rests.visits_in_file,
            visits_used=rests.visits_used,
            cells_not_read=rests.cells_not_read,
            contradictions=rests.contradictions,
            note=rests.note,
        ),
        beyond_training=beyond_note(row),
        not_read=sorted({problem.column for problem in own}),
        open_questions=[one.title for one in of.table.questions] if isinstance(of.table, VisitTable) else [],
        limits=model.limits,
    )


def _risks(row: pd.Series, questions: dict[str, str], prefix: str) -> list[RiskTold]:
    there = [(task, title) for task, title in questions.items() if f"{prefix}{task}" in row]
    return [RiskTold(question=task, title=title, risk=float(row[f"{prefix}{task}"])) for task, title in there]


def _history(visits: pd.DataFrame, session: ModelSession) -> Explained:
    """Without dates: years since her first visit say as much to the reader, and less of who she is."""
    task = session.model.derived_tasks[0]
    why = explain_history(visits, session, task.id)
    results = explain_results(visits, session, task.id)
    histories = histories_of(visits, session)
    steps = zip(why.rows, histories.time_years, trajectory(histories, 0, session), why.contributions, strict=True)
    return Explained(
        question=task.id,
        reference_risk=why.reference_risk,
        risk=why.risk,
        exact=why.exact,
        steps=[
            StepOfCourse(
                years_since_first_visit=round(float(years), 2),
                found=_found(visits.iloc[rows]),
                risk_after=float(risk),
                contribution=float(share),
            )
            for rows, years, risk, share in steps
        ],
        factors=_largest_first(
            [
                Factor(
                    label=VISIT_COLUMNS[str(column)].label, found=codes_found(visits[str(column)]), contribution=float(share)
                )
                for column, share in results.items()
            ]
        ),
    )


def _found(visits: pd.DataFrame) -> str:
    return finding_words(visits) or visit_words(visits)


def _factors(table: PatientTable, session: ModelSession) -> Explained:
    why = explain_patient(table.frame.iloc[0], session)
    told = why.contributions
    return Explained(
        question=session.model.derived_tasks[0].id,
        reference_risk=why.reference_risk,
        risk=why.risk,
        exact=len(told) <= EXACT_PLAYERS,
        steps=[],
        factors=_largest_first(
            [
                Factor(label=label, found=value_words(name, value), contribution=float(share))
                for name, label, value, share in zip(
                    told["feature"], told["label"], told["value"], told["contribution"], strict=True
                )
            ]
        ),
    )


def _largest_first(factors: Sequence[Factor]) -> list[Factor]:
    return sorted(factors, key=lambda factor: -abs(factor.contribution or 0.0))
