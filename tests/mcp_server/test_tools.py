"""What the tools tell: the library's own figures, scores and explanations, and nothing of who or where."""

import json
import re
from pathlib import Path

import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.errors import CallRefused, NameRefused, PatientFileUnclear, SlideScaleUnknown, UploadTooLarge
from cervix.evaluation.heldout import held_out
from cervix.mcp_server import women
from cervix.mcp_server.asked import TABLE_BYTES_AT_MOST
from cervix.patients import shapley
from cervix.patients.sample import sample_table_csv
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.slides.results import save_score
from cervix.slides.scoring import SlideScore
from tests.mcp_server.conftest import Ask, refused, told

RISING = (PROJECT_ROOT / "cervix/samples/tables/rising.csv").read_text(encoding="utf-8")
TREATED = (PROJECT_ROOT / "cervix/samples/tables/treated.csv").read_text(encoding="utf-8")
WHO = "Zaphira Beeblebrox"
KNOWN = 16
"""Inputs of a woman that are known: a little more than half, below which there is no answer."""
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def files_of(*folders: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for folder in folders for path in sorted(folder.rglob("*"))
    }


def test_the_bundle_its_card_and_its_figures_are_told_with_notice_and_origin(ask: Ask, bundle: Bundle) -> None:
    brief = told(ask("bundle_info"))
    assert [model["id"] for model in brief["models"]] == [model.id for model in bundle.manifest.models]
    model = bundle.manifest.first_of("tile")
    card = told(ask("model_card", model=model.id))
    assert card["markdown"].count("\n") > 50
    assert model.limits[0] in card["markdown"]
    figures = told(ask("held_out_figures", model=model.id))
    report = held_out(bundle, model, model.derived_tasks[0], model.threshold(model.derived_tasks[0].id)).report()
    first = figures["questions"][0]
    assert (first["n"], first["groups"], first["positives"]) == (report.n, report.groups, report.positives)
    by_id = {metric["id"]: (metric["value"], metric["low"], metric["high"]) for metric in first["metrics"]}
    assert by_id["auroc"] == pytest.approx(tuple(report.metrics["auroc"]))
    assert (figures["source"], figures["limits"]) == (model.measured.predictions, model.limits)
    assert figures["world"]
    for answer in (brief, card, figures):
        assert answer["notice"] == answer["provenance"]["notice"] == RESEARCH_NOTICE
        assert answer["provenance"]["bundle_sha256"] == bundle.sha256
    assert model.id in refused(ask("held_out_figures", model="none"), CallRefused)["expected"]


def test_the_inbox_is_told_by_relative_paths_and_leads_nowhere_else(ask: Ask, inbox: Path) -> None:
    answer = told(ask("slides_in_the_inbox"))
    assert sorted(slide["inbox"] for slide in answer["slides"]) == ["ward/phantom.tiff", "ward/unscaled.tiff"]
    assert (answer["found"], answer["cannot_be_asked_for"]) == (4, 2)
    assert str(inbox) not in json.dumps(answer)
    assert [slide["inbox"] for slide in told(ask("slides_in_the_inbox", search="unsc ward"))["slides"]] == [
        "ward/unscaled.tiff"
    ]
    for tool, more in (("score_of_a_slide", {}), ("explain_woman", {"pseudonym": "RISING"})):
        for name in ("../x.tiff", str(inbox / "ward/phantom.tiff"), "ward/..", "link.tiff/../x", "C:x"):
            assert str(inbox) not in json.dumps(refused(ask(tool, inbox=name, **more), NameRefused))
        for name in (".hidden.tiff", "ward", "ward/none.tiff"):
            refused(ask(tool, inbox=name, **more), CallRefused)
    refused(ask("score_of_a_slide", inbox="link.tiff"), NameRefused)


def test_a_slide_is_scored_as_elsewhere_kept_in_memory_and_nothing_is_written(
    ask: Ask, installed: Path, inbox: Path, phantom_score: SlideScore
) -> None:
    before = files_of(installed, inbox)
    first = told(ask("score_of_a_slide", inbox="ward/phantom.tiff"))
    again = told(ask("score_of_a_slide", inbox="ward/phantom.tiff"))
    assert files_of(installed, inbox) == before
    answer = phantom_score.summary.answer
    assert (first["sentence"], first["tiles"]) == (answer.sentence, answer.tiles)
    assert first["not_recognised"]["tiles"] == answer.unrecognised_tiles
    assert first["not_recognised"]["value"] == pytest.approx(answer.unrecognised_tiles / answer.tiles)
    assert 0 < first["not_recognised"]["low"] < first["not_recognised"]["value"]
    assert first["limits"]
    assert first["notice"] == RESEARCH_NOTICE
    assert (first["kept"], again["kept"]) == (False, True)
    assert {**first, "kept": True} == again


def test_a_slide_that_was_scored_before_is_told_from_disk(ask: Ask, phantom_score: SlideScore) -> None:
    save_score(get_settings().results_dir, phantom_score)
    answer = told(ask("score_of_a_slide", inbox="ward/phantom.tiff"))
    assert answer["kept"]
    assert answer["provenance"]["created"] == phantom_score.summary.provenance.created


def test_a_slide_called_cancerous_is_told_with_shares_and_intervals(ask: Ask, inbox: Path, carcinoma_slide: Path) -> None:
    there = inbox / "carcinoma.tiff"
    there.hardlink_to(carcinoma_slide)
    try:
        answer = told(ask("score_of_a_slide", inbox=there.name))
    finally:
        there.unlink()
    cancerous = answer["cancerous"]
    assert (answer["verdict"], cancerous["tiles"], cancerous["of"]) == ("cancer", answer["tiles"], answer["accepted_tiles"])
    assert 0 < cancerous["low"] < cancerous["value"] <= cancerous["high"] <= 1
    assert {share["id"]: share["tiles"] for share in answer["classes"]}["scc"] == cancerous["tiles"]


def test_a_slide_without_scale_is_refused_until_it_is_told(ask: Ask, inbox: Path) -> None:
    said = refused(ask("score_of_a_slide", inbox="ward/unscaled.tiff"), SlideScaleUnknown)
    assert said["problem"]
    assert said["action"]
    assert str(inbox) not in json.dumps(said)
    assert told(ask("score_of_a_slide", inbox="ward/unscaled.tiff", spacing=0.5))["spacing_source"] == "user"


def test_a_woman_is_explained_by_values_that_add_up_and_without_a_date(ask: Ask) -> None:
    answer = told(ask("explain_woman", table=RISING, pseudonym="RISING"))
    assert answer == {
        **told(ask("explain_woman", inbox="rising.csv", pseudonym="RISING")), "provenance": answer["provenance"],
    }  # fmt: skip
    why = answer["explained"]
    for parts in (why["steps"], why["factors"]):
        total = why["reference_risk"] + sum(part["contribution"] for part in parts)
        assert total == pytest.approx(why["risk"], abs=1e-5)
    assert why["steps"][-1]["risk_after"] == pytest.approx(why["risk"], abs=1e-5)
    assert why["steps"][-1]["found"] == "ASC-H, HPV16+"
    assert why["risk"] == pytest.approx(answer["risks"][0]["risk"], abs=1e-5)
    assert answer["guideline"]["headline"]
    assert answer["limits"]
    assert not DAY.search(json.dumps({**answer, "provenance": {}, "limits": []}))


def test_a_woman_who_gets_no_risk_gets_no_explanation_of_one(ask: Ask) -> None:
    answer = told(ask("explain_woman", table=TREATED, pseudonym="TREATED"))
    assert (answer["answered"], answer["explained"]) == (False, None)
    assert answer["no_answer"]
    assert all(risk["risk"] is None for risk in answer["risks"])
    assert answer["after_treatment"][0]["risk"] > 0


def test_risk_factors_are_explained_too(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    # Over all coalitions: the library for samples of them takes ten seconds to import.
    for module in (shapley, women):
        monkeypatch.setattr(module, "EXACT_PLAYERS", KNOWN)
    header, *rows = sample_table_csv().splitlines()
    cells = rows[3].split(",")
    first = ",".join([*cells[: KNOWN + 1], *("?" for _ in cells[KNOWN + 1 :])])
    answer = told(ask("explain_woman", table=f"{header}\n{first}\n", pseudonym=cells[0]))
    why = answer["explained"]
    assert why["reference_risk"] + sum(one["contribution"] for one in why["factors"]) == pytest.approx(why["risk"], abs=1e-5)
    assert (answer["guideline"], why["steps"], why["exact"]) == (None, [], True)
    assert len(why["factors"]) == KNOWN
    nobodys = "\n".join(line.partition(",")[2] for line in (header, first))
    assert "patient_id" in refused(ask("explain_woman", table=nobodys, pseudonym="1"), CallRefused)["expected"]


@pytest.mark.parametrize(
    "table",
    [
        f"patient_id,name,visit_date,cytology\nRISING,{WHO},2020-03-14,NILM\n",
        "patient_id,Date of birth,visit_date,cytology\nRISING,1990-01-01,2020-03-14,NILM\n",
        f"patient_id,visit_date,cytology\nRISING,2020-03-14,NILM\n{WHO},2020-03-14,NILM\n",
        '{"resourceType": "Bundle"}',
    ],
    ids=["names", "dates of birth", "pseudonyms that are names", "FHIR"],
)
def test_a_table_that_names_persons_is_refused_without_a_word_of_it(ask: Ask, table: str) -> None:
    said = json.dumps(refused(ask("explain_woman", table=table, pseudonym="RISING"), CallRefused))
    assert WHO not in said
    assert "1990" not in said


def test_a_table_is_refused_that_is_too_large_or_unclear_or_without_her(ask: Ask) -> None:
    # Two bytes a letter: fewer characters than bytes are allowed.
    large = RISING + "µ" * (TABLE_BYTES_AT_MOST // 2)
    refused(ask("explain_woman", table=large, pseudonym="RISING"), UploadTooLarge)
    unclear = "patient_id,visit_date,cytology,hpv_result\nRISING,03/04/2020,NILM,negative\n"
    refused(ask("explain_woman", table=unclear, pseudonym="RISING"), PatientFileUnclear)
    assert told(ask("explain_woman", table=unclear, pseudonym="RISING", dates="dmy"))["answered"]
    assert WHO not in json.dumps(refused(ask("explain_woman", table=RISING, pseudonym=WHO), CallRefused))


def test_what_could_not_be_read_of_her_is_named_by_its_column_alone(ask: Ask) -> None:
    answer = told(ask("explain_woman", table=RISING.replace("ASC-US", "Wobbly"), pseudonym="RISING"))
    assert answer["not_read"] == ["cytology"]
    assert answer["completeness"]["note"].startswith("Incomplete")
    assert "Wobbly" not in json.dumps(answer)
