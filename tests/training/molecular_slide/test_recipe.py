"""One command from two lists of patients to figures of slide, microRNA and both: tried on made-up pairs from a local server."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle, load_bundle
from cervix.evaluation.comparison import parsed_decimal
from cervix.settings import PROJECT_ROOT
from tests.bundle.made import SHIPPED_CLASSES, write_tile_bundle
from tests.file_server import Archive, serving, status
from tests.training.molecular_slide.made import (
    PAIRED,
    TERMS,
    fill,
    made_slides,
    patient_of,
    write_omics,
    write_quick_recipes,
)
from training import cli
from training.molecular.data import FILES
from training.molecular_slide.pairs import GLANDULAR, SQUAMOUS, PairsRefused
from training.molecular_slide.recipe import NOT_RUN, RESULTS
from training.molecular_slide.slides import require_witness, tile_session

pytestmark = pytest.mark.usefixtures("no_proxy")
TABLES = ("pairs", "figures", "answers", "control", "patients")


@dataclass(frozen=True)
class Made:
    """Tables, recipes and slides that every test starts from."""

    folder: Path
    clinical: pd.DataFrame
    slides: dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("pairs")
    clinical = write_omics(folder / "omics")
    (folder / "recipes").mkdir()
    write_quick_recipes(folder / "recipes")
    return Made(folder, clinical, made_slides(clinical, folder))


@pytest.fixture(scope="module")
def tile_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a tile model alone, which proves itself in an instant."""
    return write_tile_bundle(tmp_path_factory.mktemp("tiles") / "bundle", SHIPPED_CLASSES, "slide")


@pytest.fixture(autouse=True)
def _quick(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "RECIPES_DIR", made.folder / "recipes")


def ordered(made: Made, address: str, tile_root: Path, out: Path, *more: str, omics: Path | None = None) -> list[str]:
    where = ["--gdc", address, "--bundle", str(tile_root), "--omics", str(omics or made.folder / "omics"), "--out", str(out)]
    return ["molecular-slide", "--from", "gdc", *where, *more]


@dataclass(frozen=True)
class Ran:
    """A run that the server broke off, the same command again, and once more."""

    out: Path
    first_error: str
    fetched_before: list[str]
    fetched: list[str]
    again: str
    reports: tuple[str, str]

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.out / RESULTS / f"{name}.csv")


@pytest.fixture(scope="module")
def ran(made: Made, tile_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    out, archive = tmp_path_factory.mktemp("run"), Archive()
    fill(archive, made.clinical, made.slides)
    with pytest.MonkeyPatch.context() as patch, serving(archive) as address:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        patch.setattr(cli, "RECIPES_DIR", made.folder / "recipes")
        command = ordered(made, address, tile_root, out, "--yes")
        archive.plan(sorted(record["file_id"] for record in archive.records[:PAIRED])[3], status(404))
        said: list[str] = []
        patch.setattr(cli, "_teller", lambda **_: lambda _event, message, **_more: said.append(message))
        assert cli.main(command) == 1
        first_error, before = said[-1], archive.downloads()
        assert cli.main(command) == 0
        report = (out / RESULTS / "report.txt").read_text(encoding="utf-8")
        said.clear()
        assert cli.main(command) == 0
        again = "\n".join(said)
    reports = (report, (out / RESULTS / "report.txt").read_text(encoding="utf-8"))
    return Ran(out, first_error, before, archive.downloads(), again, reports)


def test_the_joined_answer_stands_beside_each_witness_on_the_same_pairs(ran: Ran) -> None:
    figures = ran.table("figures").set_index("answer")
    alone, joined = figures.iloc[:2], figures.loc["slide and microRNA"]
    assert set(alone["n"]) == {joined["n"]}
    found = {name: parsed_decimal(text).value for name, text in figures["AUROC"].items()}
    assert found["slide and microRNA"] > max(found["slide alone"], found["microRNA alone"])
    assert figures["source"].str.contains("TCGA-CESC: slides by made-for-tests 0.1.0").all()
    assert alone["joined minus this, AUROC"].str.match(r"\+0\.\d{3} \(.0\.\d{3} to \+0\.\d{3}\)").all()
    assert alone["only this right / only joined right"].str.contains("McNemar p =").all()


def test_what_is_gained_goes_where_slides_are_dealt_out_anew_and_stays_where_their_kind_stays(ran: Ran) -> None:
    control = ran.table("control").set_index("slides")["joined minus microRNA alone, AUROC"]
    true, anywhere, within = (float(text.split()[0]) for text in control)
    assert true > 0.05
    assert anywhere < true / 2 < within


def test_a_server_that_fails_is_a_sentence_and_the_next_run_goes_on(ran: Ran) -> None:
    assert "status 404" in ran.first_error
    assert "Traceback" not in ran.first_error
    assert len(ran.fetched_before) == 4
    assert len(ran.fetched) == PAIRED + 1


def test_a_run_after_the_end_fetches_scores_and_fits_nothing_and_says_the_same(ran: Ran) -> None:
    assert ran.again.count("finished before, read back") == PAIRED + 1
    assert ran.reports[0] == ran.reports[1]


def test_the_report_says_what_it_is_and_that_nobody_ran_it_on_the_real_slides(ran: Ran) -> None:
    assert ran.reports[0].startswith(f"{RESEARCH_NOTICE}\n\n{NOT_RUN}")
    assert "never ran it on the real slides" in ran.again


def test_no_table_names_a_patient_but_by_a_drawn_number(ran: Ran) -> None:
    for name in TABLES:
        assert "TCGA-H" not in (ran.out / RESULTS / f"{name}.csv").read_text(encoding="utf-8")
    patients = ran.table("patients")
    assert patients["case"].is_unique
    assert len(patients) == PAIRED


def test_slides_without_a_tumour_are_counted_and_not_fetched(ran: Ran) -> None:
    counts = ran.table("pairs").set_index("what")["n"]
    assert counts["slides left out: no microRNA of a squamous or glandular tumour of this patient"] == 1
    assert counts["patients with slide and microRNA"] == PAIRED


def test_the_estimate_comes_first_and_fetches_nothing(
    archive: Archive, made: Made, tile_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(archive, made.clinical, made.slides)
    assert cli.main(ordered(made, archive.address, tile_root, tmp_path)) == 0
    told = capsys.readouterr().out
    assert f"{PAIRED} slides of {PAIRED} patients; 0.0" in told
    assert "Go on with --yes" in told
    assert archive.downloads() == []


def refusal(archive: Archive, made: Made, tile_root: Path, out: Path, capsys: pytest.CaptureFixture[str], **more: Path) -> str:
    """What is said of an order that is refused before anything is fetched."""
    assert cli.main(ordered(made, archive.address, tile_root, out, "--yes", **more)) == 1
    assert archive.downloads() == []
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([], "There is not one pair of a slide and a tumour: expected slides of patients in cesc_mirna_rpm.csv.gz; found 2 ×"),
        ([SQUAMOUS], "All pairs are of one kind: expected squamous and glandular tumours; found"),
        ([SQUAMOUS, GLANDULAR], "There are fewer hospitals than folds: expected pairs of at least 3 hospitals; found 2."),
    ],
)
def test_too_few_pairs_are_refused_before_anything_is_fetched(
    chosen: list[str], said: str, archive: Archive, made: Made, tile_root: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    of_two = made.clinical[made.clinical["tss"].isin(["H0", "H1"])]
    words = {"squamous": SQUAMOUS, "glandular": GLANDULAR}
    for patient, label in zip(of_two["patient"], of_two["label"], strict=True):
        if words[label] in chosen:
            archive.add(patient, TERMS[words[label]])
    archive.add("TCGA-XX-0001", TERMS[SQUAMOUS])
    archive.add("TCGA-XX-0002", TERMS[GLANDULAR])
    assert said in refusal(archive, made, tile_root, tmp_path, capsys)


def test_a_kind_that_archive_and_table_do_not_agree_on_makes_no_pair(
    archive: Archive, made: Made, tile_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = made.clinical.iloc[0]
    archive.add(first["patient"], TERMS[SQUAMOUS if first["label"] == "glandular" else GLANDULAR])
    assert "1 × the table of tumours names another kind than the archive" in refusal(archive, made, tile_root, tmp_path, capsys)


@pytest.mark.parametrize("name", FILES[:2])
def test_a_barcode_twice_is_refused_by_its_lines(
    name: str, archive: Archive, made: Made, tile_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    omics = tmp_path / "omics"
    write_omics(omics)
    table = pd.read_csv(omics / name)
    pd.concat([table, table.iloc[[4]]]).to_csv(omics / name, index=False)
    said = refusal(archive, made, tile_root, tmp_path / "out", capsys, omics=omics)
    assert f"A patient stands in {name} twice: expected one tumour a patient; found lines 6, {len(table) + 2}." in said
    assert "TCGA-H" not in said


def test_a_tumour_that_nobody_described_is_refused_by_its_line(
    archive: Archive, made: Made, tile_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    omics = tmp_path / "omics"
    write_omics(omics).iloc[1:].to_csv(omics / FILES[0], index=False)
    said = refusal(archive, made, tile_root, tmp_path / "out", capsys, omics=omics)
    assert "expected a row for every patient; found lines 2 without one" in said


def test_a_place_that_is_full_is_a_sentence(
    archive: Archive, made: Made, tile_root: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, patient in enumerate(made.clinical["patient"][:PAIRED]):
        archive.add(patient, TERMS[GLANDULAR if made.clinical["label"][number] == "glandular" else SQUAMOUS], size=20_000)
    assert "No room for the slides under" in refusal(archive, made, tile_root, small_disk, capsys)


def test_a_tile_model_of_other_kinds_is_refused(four_class_bundle: Bundle) -> None:
    with pytest.raises(
        PairsRefused, match="The tile model does not know a kind: expected classes scc and ac; found no ac, scc"
    ):
        tile_session(four_class_bundle)


def test_a_tile_model_that_learned_from_cervical_slides_is_refused_since_they_may_be_these(tile_root: Path) -> None:
    model = load_bundle(tile_root, device="cpu").session_of("tile").model
    require_witness(model)
    cervical = model.training_data[0].model_copy(update={"organs": ["cervix"]})
    saw = model.model_copy(update={"training_data": [*model.training_data, cervical]})
    with pytest.raises(PairsRefused, match="The tile model learned from cervical slides, perhaps from these"):
        require_witness(saw)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was_killed_and_a_slide_without_tissue_gives_no_answer(
    archive: Archive, made: Made, tile_root: Path, glass_slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blank = patient_of(1)
    fill(archive, made.clinical, made.slides | {blank: glass_slide.read_bytes()})
    command = ordered(made, archive.address, tile_root, tmp_path, "--yes")
    with subprocess.Popen(
        [sys.executable, "-m", "training", *command], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any(f"5 of {PAIRED}: 4 of 4 tiles recognised" in line for line in process.stdout)
        process.kill()
    assert not (tmp_path / RESULTS).exists()
    capsys.readouterr()
    assert cli.main(command) == 0
    assert capsys.readouterr().out.count("finished before, read back") >= 4
    assert len(archive.downloads()) == PAIRED
    answers = pd.read_csv(tmp_path / RESULTS / "answers.csv").set_index(["kind", "who answers"])["n"]
    label = made.clinical["label"][1]
    assert answers[label, "microRNA alone: no tile is fit"] + answers[label, "neither"] == 1
    patients = pd.read_csv(tmp_path / RESULTS / "patients.csv")
    (silent,) = patients[patients["tiles"] == 0].to_dict("records")
    assert silent["slides"] == 1
    assert pd.isna(silent["p_glandular_slide"])
    assert pd.isna(silent["p_glandular_joined"])
    assert silent["p_glandular_either"] == silent["p_glandular_microrna"]
