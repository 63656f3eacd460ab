"""A bundle that nobody measured says so in everything that leaves the library, and claims no figure."""

from pathlib import Path

import pypdf
import pytest

from cervix.api.brief import bundle_told
from cervix.bundle import Bundle, Model
from cervix.bundle.differences import manifest_differences
from cervix.bundle.manifest import UNEVALUATED
from cervix.card.bundle_info import info_lines
from cervix.card.comparison import comparison_text
from cervix.card.formats import FORMATS, card_file
from cervix.card.hub import export_hub
from cervix.cli import main
from cervix.errors import EvaluationError, PromotionRefused
from cervix.evaluation.heldout import held_out_cases
from cervix.evaluation.summary import summary_of
from cervix.interop.dicom.made import Maker
from cervix.interop.dicom.terms import LONG_STRING_AT_MOST
from cervix.interop.exports import EXPORTS
from cervix.interop.triton import export_triton
from cervix.mcp_server import bundles as tools
from cervix.mcp_server.asked import ModelAsked
from cervix.promotion.comparison import compare_bundles
from cervix.promotion.promote import check_promotable
from cervix.provenance import provenance_of
from cervix.settings import PROJECT_ROOT
from cervix.slides.scoring import SlideScore, score_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide

VISITS = PROJECT_ROOT / "cervix/samples/tables/rising.csv"
REASON = "Because I want it all the same."


@pytest.fixture(scope="module")
def slide(phantom_slide: Path) -> Slide:
    return open_slide(phantom_slide)


@pytest.fixture(scope="module")
def score(slide: Slide, unevaluated_bundle: Bundle) -> SlideScore:
    return score_slide(slide, unevaluated_bundle)


def text_of(path: Path) -> str:
    """What a person reads of a file, spaces as they come."""
    if path.suffix == ".pdf":
        return " ".join("\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages).split())
    return path.read_bytes().decode("utf-8", "replace")


def test_such_a_model_must_say_so_first_and_cannot_claim_a_calibration_test(bundle: Bundle) -> None:
    bare = bundle.manifest.model("history").model_dump() | {"evaluation": None}
    with pytest.raises(ValueError, match="begins its first limit with"):
        Model.model_validate(bare)
    with pytest.raises(ValueError, match="calibration tests need held-out cases"):
        Model.model_validate(bare | {"limits": [UNEVALUATED]})


def test_whoever_asks_for_its_cases_is_told(unevaluated_bundle: Bundle) -> None:
    with pytest.raises(EvaluationError, match=UNEVALUATED.rstrip(".")):
        held_out_cases(unevaluated_bundle, unevaluated_bundle.manifest.models[0])


def test_its_summary_has_no_figure(unevaluated_bundle: Bundle) -> None:
    for model in unevaluated_bundle.manifest.models:
        summary = summary_of(unevaluated_bundle, model)
        assert (summary.verdict, summary.figures, summary.facts, summary.picture) == (UNEVALUATED, [], {}, None)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_card_says_so_of_each_model_in_every_format(unevaluated_bundle: Bundle, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"card.{kind}"
    path.write_bytes(card_file(unevaluated_bundle, kind))
    said = text_of(path)
    models = 1 if FORMATS[kind].of_one_model else len(unevaluated_bundle.manifest.models)
    assert said.count("Unevaluated") >= models
    assert "AUROC" not in said.replace("AUROC minus that of fp32", "")


@pytest.mark.parametrize("kind", [kind for kind in EXPORTS if kind != "heatmap"])
def test_every_export_of_a_slide_says_so(
    score: SlideScore, slide: Slide, unevaluated_bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    export = EXPORTS[kind]
    if export.why_not(slide):
        pytest.skip("the drawn slide is no DICOM; see the next test")
    path = tmp_path / f"slide{export.suffix}"
    export.write(score, slide, unevaluated_bundle.session_of("tile"), path)
    said = path.read_bytes() if kind == "parquet" else text_of(path).encode()
    assert b"Unevaluated" in said


def test_a_dicom_object_has_room_for_it(unevaluated_bundle: Bundle, bundle: Bundle) -> None:
    for of in (unevaluated_bundle, bundle):
        model = of.manifest.first_of("tile")
        maker = Maker(model, provenance_of(of, model.id))
        assert len(maker.in_short) <= LONG_STRING_AT_MOST
        assert maker.identity(1)["series_description"] == maker.in_short
        assert maker.in_short.startswith("Unevaluated") == (of is unevaluated_bundle)


def test_provenance_carries_it_into_every_row(unevaluated_bundle: Bundle, score: SlideScore) -> None:
    assert score.summary.notices[-1] == UNEVALUATED
    for model in unevaluated_bundle.manifest.models:
        assert provenance_of(unevaluated_bundle, model.id).notice.endswith(UNEVALUATED)


def test_exports_of_the_bundle_say_so(unevaluated_root: Path, tmp_path: Path) -> None:
    export_triton(unevaluated_root, tmp_path / "triton")
    export_hub(unevaluated_root, tmp_path / "hub")
    configs = list(tmp_path.rglob("config.pbtxt"))
    assert configs
    for path in (*configs, tmp_path / "triton/README.md", tmp_path / "hub/README.md", tmp_path / "hub/DATA.md"):
        assert "Unevaluated" in text_of(path), path.name


def test_the_command_line_says_so(unevaluated_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n".join(info_lines(unevaluated_root)).count(f"  {UNEVALUATED}") == 5
    assert main(["bundle", "verify", str(unevaluated_root), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.count(UNEVALUATED) == 5
    of = ["--bundle", str(unevaluated_root), "--device", "cpu"]
    assert main(["evaluate", "slide", *of]) != 0
    assert UNEVALUATED.rstrip(".") in capsys.readouterr().err
    assert main(["patients", str(VISITS), "--out", str(tmp_path / "risks.csv"), "--fhir", "R4", *of]) == 0
    assert UNEVALUATED in capsys.readouterr().out
    for name in ("risks.csv", "risks.fhir.json"):
        assert UNEVALUATED in text_of(tmp_path / name)


def test_programs_are_told(unevaluated_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(model.limits[0].startswith(UNEVALUATED) for model in bundle_told(unevaluated_bundle).models)
    monkeypatch.setattr(tools, "active_proved", lambda: unevaluated_bundle)
    for model in unevaluated_bundle.manifest.models:
        figures = tools.held_out_figures(ModelAsked(model=model.id), None)  # type: ignore[arg-type] # nothing is asked of it
        assert (figures.verdict, figures.split, figures.questions) == (UNEVALUATED, UNEVALUATED, [])
        assert UNEVALUATED in tools.card_of_a_model(ModelAsked(model=model.id), None).markdown  # type: ignore[arg-type]


def test_it_is_compared_in_words_and_never_promoted(bundle: Bundle, unevaluated_bundle: Bundle) -> None:
    comparison = compare_bundles(bundle, unevaluated_bundle)
    assert comparison.decision == "keep"
    assert UNEVALUATED in comparison_text(comparison)
    assert all(model.fits for model in comparison.models)
    with pytest.raises(PromotionRefused, match="never promoted.*No reason makes up for that"):
        check_promotable(comparison, REASON)
    assert compare_bundles(unevaluated_bundle, bundle).decision == "keep"
    assert UNEVALUATED in str(manifest_differences(bundle.manifest, unevaluated_bundle.manifest).to_dict())
