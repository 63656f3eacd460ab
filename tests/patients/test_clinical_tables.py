"""Every row of the clinical tables is pinned apart from the code: a grade, a word or a limit that changes turns a test red."""

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.patients import codes, diagnosis, encoding, sequences, vocabulary, words
from cervix.patients.guideline import course, ladder, published, rules
from cervix.patients.visit_vocabulary import folded

FOLDER = Path(__file__).parent
Rows = set[tuple[str, ...]]


def pinned(name: str) -> Rows:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return {tuple(row) for row in list(csv.reader(file))[1:]}


def grades() -> Rows:
    return {
        (feature.name, feature.column, code, f"{grade:g}")
        for feature in encoding.VISIT_FEATURES
        for code, grade in (feature.grades or {"": 0}).items()
        if grade is not None
    }


def spellings() -> Rows:
    rows = {
        (column, entry.code, spelling, entry.note)
        for entry in words.WORDS for column in entry.columns for spelling in entry.spellings
    }  # fmt: skip
    rows |= {
        (column, code.name, code.name, "the code itself") for column, coded in codes.CODES.items() for code in coded.codes
    }  # fmt: skip
    rows |= {("(any)", "(not known)", spelling, "") for spelling in words.NOT_KNOWN}
    rows |= {("(header)", name, spelling, "") for name, listed in words.HEADERS.items() for spelling in listed}
    rows |= {("(header)", "patient_id", spelling, "") for spelling in words.PATIENT_HEADERS}
    rows |= {("(month)", str(number), start, "") for start, number in words.MONTHS.items()}
    rows |= {("(summary)", "", spelling, "") for spelling in words.SUMMARIES}
    for kind in ("HIGH_RISK", "POSSIBLY_HIGH_RISK", "LOW_RISK", "OTHER_HIGH_RISK", "BARE_ANSWERS"):
        rows |= {("(hpv)", kind, entry, "") for entry in getattr(words, kind)}
    rows |= {("(hpv)", name, entry, "group") for name, listed in words.TYPE_GROUPS.items() for entry in listed}
    rows |= {("(minus)", "", words.MINUS, "")}
    rows |= {("(kind)", kind, name, "") for kind in ("RESULTS", "ANSWERS") for name in getattr(words, kind)}
    rows |= {("(filler)", name, pattern, "") for name, pattern in words.FILLERS.items()}
    return rows


def limits() -> Rows:
    rows = {("ladder", rung.action, f"{rung.immediate_from:g}", f"{rung.five_year_from:g}") for rung in ladder.LADDER}
    rows |= {("ladder, as published", rung.action, rung.management, "") for rung in ladder.LADDER}
    rows |= {("colposcopy at any risk", code, "", "") for code in (*rules.COLPOSCOPY_CYTOLOGY, *rules.HPV_TYPES)}
    rows |= {("smear without an HPV test", smear, rung.action, "") for smear, rung in rules.SMEAR_ALONE.items()}
    rows |= {("smear of the tables", code, smear, course.GROUPS.get(smear, "")) for code, smear in course.SMEAR_OF.items()}
    rows |= {("gravity of a smear", smear, f"{at}", "") for at, smear in enumerate(course.SMEARS)}
    rows |= {("less than CIN2", code, "", "") for code in course.LESS_THAN_CIN2}
    rows |= {("treated, in the tables", code, "", "") for code in course.TREATED_CIN}
    rows |= {
        (
            f"at colposcopy, {row.cytology}",
            row.history,
            f"{row.women}, {row.cin3[1].value:g}, {row.management}",
            f"{row.cin3[5].value:g}",
        )
        for row in published.AT_COLPOSCOPY
    }
    rows |= {("precancer", code, "", "") for code in diagnosis.PRECANCER}
    rows |= {("cancer", code, "", "") for code in diagnosis.CANCER}
    rows |= {("treats", code, "", "") for code in diagnosis.TREATMENTS}
    rows |= {("gravity", code, f"{rank}", "") for code, rank in diagnosis._RANK.items()}
    rows |= {("takes the cervix", diagnosis.HYSTERECTOMY, "", ""), ("ladder's colposcopy", ladder.COLPOSCOPY.action, "", "")}
    rows |= {("range", column.name, f"{column.low:g}", f"{column.high:g}") for column in vocabulary.COLUMNS.values()}
    rows |= {
        ("question of the ladder", ladder.AT_ONCE_TASK, "at once", ""),
        ("question of the ladder", ladder.STAND_IN_TASK, "in its place", ""),
        ("question of the ladder", ladder.FIVE_YEAR_TASK, "", ""),
        ("after treatment at most", "", rules.TREATED_AT_MOST.action, ""),
        ("smear without an HPV test, in surveillance", "", rules.SURVEILLANCE_ALONE.action, ""),
        ("ages of the tables", "", *map(str, published.AGES)),
        ("round, days", "", f"{sequences.EPISODE_DAYS}", ""),
    }
    return rows | {
        ("age of the ladder", "", f"{ladder.EXPEDITED_AGE:g}", ""),
        ("horizon, years", "", f"{rules.HORIZON_YEARS}", ""),
    }


def facts() -> Rows:
    return {
        (column, code.name, code.severity.name, code.referral.name, "-".join(map(str, code.cin or ())), *_marks(code))
        for column, coded in codes.CODES.items()
        for code in coded.codes
    }


def _marks(code: codes.Code) -> tuple[str, ...]:
    return tuple("yes" if holds else "" for holds in (code.cancer, code.treats, code.measures_nothing))


def check() -> None:
    assert facts() == pinned("clinical_codes.csv")
    assert grades() == pinned("clinical_grades.csv")
    assert spellings() == pinned("clinical_words.csv")
    assert limits() == pinned("clinical_limits.csv")
    assert set(words.HEADERS) == {"patient_id", "visit_date", "age", "hpv_genotypes", "slide", *codes.CODES}


def test_every_grade_word_and_limit_is_as_pinned() -> None:
    check()


def test_every_code_of_a_graded_column_is_graded_or_measures_nothing() -> None:
    ungraded = {code.name for coded in codes.CODES.values() for code in coded.codes if code.measures_nothing}
    assert ungraded == {"UNSAT", "invalid", "inadequate", "inconclusive"}
    for feature in encoding.VISIT_FEATURES:
        if feature.kind == "code":
            assert set(feature.grades) == {code.name for code in codes.CODES[feature.column].codes}
            assert {code for code, grade in feature.grades.items() if grade is None} <= ungraded


def test_no_word_means_two_codes_of_a_column() -> None:
    seen: dict[tuple[str, str], str] = {}
    for column, code, spelling, _ in sorted(spellings()):
        if not column.startswith("("):
            assert seen.setdefault((column, folded(spelling)), code) == code, (column, spelling)


def test_what_counts_as_proven_is_what_the_model_grades_so() -> None:
    graded = next(feature for feature in encoding.VISIT_FEATURES if feature.name == "histology").grades
    histology = {code: grade for code, grade in graded.items() if grade is not None}
    assert set(diagnosis.PRECANCER) == {code for code, grade in histology.items() if 2 <= grade < 4}
    assert set(diagnosis.CANCER) == {code for code, grade in histology.items() if grade >= 4}


def mutations() -> Iterator[tuple[object, str, object]]:
    """Every single change of a grade, of a row of words, or of a limit: where, under which name, to what."""
    declared = encoding.VISIT_FEATURES
    for at, feature in enumerate(declared):
        for code, grade in feature.grades.items():
            other_grade = 1 if grade is None else (grade + 1) % 6
            changed = feature.model_copy(update={"grades": {**feature.grades, code: other_grade}})
            yield encoding, "VISIT_FEATURES", (*declared[:at], changed, *declared[at + 1 :])
    for column, coded in codes.CODES.items():
        for at, code in enumerate(coded.codes):
            for other_code in (
                dataclasses.replace(code, severity=codes.Severity((code.severity + 1) % 3)),
                dataclasses.replace(code, referral=codes.Referral((code.referral + 1) % 4)),
                dataclasses.replace(code, cin=None if code.cin else (0, 1)),
                dataclasses.replace(code, cancer=not code.cancer),
                dataclasses.replace(code, treats=not code.treats),
            ):
                listed = (*coded.codes[:at], other_code, *coded.codes[at + 1 :])
                yield codes, "CODES", {**codes.CODES, column: dataclasses.replace(coded, codes=listed)}
    for at, entry in enumerate(words.WORDS):
        before, behind = words.WORDS[:at], words.WORDS[at + 1 :]
        yield words, "WORDS", (*before, *behind)
        other = next(code.name for code in codes.CODES[entry.columns[0]].codes if code.name != entry.code)
        yield words, "WORDS", (*before, dataclasses.replace(entry, code=other), *behind)
        for spelling in entry.spellings:
            left = tuple(word for word in entry.spellings if word != spelling)
            yield words, "WORDS", (*before, dataclasses.replace(entry, spellings=left), *behind)
    for name in ("NOT_KNOWN", "SUMMARIES", "HIGH_RISK", "POSSIBLY_HIGH_RISK", "LOW_RISK", "OTHER_HIGH_RISK", "PATIENT_HEADERS"):
        listed = getattr(words, name)
        for at in range(len(listed)):
            yield words, name, (*listed[:at], *listed[at + 1 :])
    for at, rung in enumerate(ladder.LADDER):
        for name in ("immediate_from", "five_year_from"):
            changed_rung = dataclasses.replace(rung, **{name: getattr(rung, name) + 0.001})
            yield ladder, "LADDER", (*ladder.LADDER[:at], changed_rung, *ladder.LADDER[at + 1 :])
    for name in ("PRECANCER", "CANCER", "TREATMENTS"):
        yield diagnosis, name, getattr(diagnosis, name)[1:]
    yield rules, "COLPOSCOPY_CYTOLOGY", rules.COLPOSCOPY_CYTOLOGY[1:]
    yield published, "AT_COLPOSCOPY", published.AT_COLPOSCOPY[1:]
    for code in course.SMEAR_OF:
        yield course, "SMEAR_OF", {**course.SMEAR_OF, code: ""}
    for smear in rules.SMEAR_ALONE:
        yield rules, "SMEAR_ALONE", {**rules.SMEAR_ALONE, smear: ladder.LADDER[-1]}


def test_changing_any_grade_word_or_limit_turns_the_check_red(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    changes = [
        ("clinical_codes.csv", facts), ("clinical_grades.csv", grades), ("clinical_words.csv", spellings),
        ("clinical_limits.csv", limits),
    ]  # fmt: skip
    right = {name: pinned(name) for name, _ in changes}
    for module, name, value in list(mutations()):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert any(found() != right[file] for file, found in changes), f"nothing saw that {name} became {value}"
        count += 1
    assert count > 300
