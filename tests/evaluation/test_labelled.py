"""Cases that somebody brings are read, scored by the real models, and what cannot be used is named."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle import Bundle
from cervix.errors import EvaluationError, UploadRefused
from cervix.evaluation.calibration import reliability
from cervix.evaluation.drift import drift_table, stability_index
from cervix.evaluation.heldout import held_out_cases
from cervix.evaluation.labelled_patients import labelled_patients
from cervix.evaluation.labelled_tiles import labelled_tiles, picture_of
from cervix.evaluation.mistakes import worst_mistakes
from cervix.evaluation.questions import CaseSet, Question
from cervix.patients.reading import read_patients
from cervix.patients.scoring import score_patients
from cervix.patients.visit_sample import sample_visits_csv
from tests.bundle.made.tiles import SHIPPED_CLASSES, TILE_PX, centres_rgb, tissue_of


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def tiles() -> dict[str, bytes]:
    """Two tiles of each class, under ``<class>/<group>/``."""
    return {
        f"{item.id}/p{number}/{item.id}-{number}.png": as_png(tissue_of(colour, TILE_PX, TILE_PX, seed=number))
        for item, colour in zip(SHIPPED_CLASSES, centres_rgb(SHIPPED_CLASSES), strict=True)
        for number in range(2)
    }


class TestTiles:
    def test_tiles_in_folders_are_scored_under_the_class_and_group_of_their_folder(
        self, tiles: dict[str, bytes], bundle: Bundle
    ) -> None:
        session = bundle.session_of("tile")
        found = labelled_tiles(zipped(tiles), session).cases.frame
        assert found["case"].tolist() == list(tiles)
        assert (found["label"] + "/" + found["group"]).tolist() == [name.rsplit("/", 1)[0] for name in tiles]
        pixels = [np.asarray(Image.open(io.BytesIO(content))) for content in tiles.values()]
        expected = session.run({"tiles": np.stack(pixels)}, ["probabilities"])["probabilities"]
        np.testing.assert_allclose(found[[f"p_{name}" for name in session.model.class_ids]], expected, atol=1e-5)

    def test_a_table_in_the_archive_names_classes_and_groups_and_bad_rows_are_told(
        self, tiles: dict[str, bytes], bundle: Bundle
    ) -> None:
        (first, picture), (second, other) = list(tiles.items())[:2]
        table = "file,label,group\n1.jpeg,Benign,p1\n2.jpeg,carcinoid,p1\n3.jpeg,scc,p2\nbroken.png,ac,p2\n"
        files = {"set/1.jpeg": picture, "set/2.jpeg": other, "set/broken.png": b"no picture", "set/labels.csv": table.encode()}
        found = labelled_tiles(zipped(files), bundle.session_of("tile"))
        assert found.cases.frame[["label", "group"]].to_numpy().tolist() == [["benign", "p1"]]
        assert len(found.problems) == 3
        assert "carcinoid" in found.problems[0]
        assert "not in the archive" in found.problems[1]
        assert "not a tile that can be read" in found.problems[2]
        assert first != second

    def test_a_broken_png_among_tiles_is_told(self, tiles: dict[str, bytes], cases_dir: Path, bundle: Bundle) -> None:
        broken = (cases_dir / "hostile/labelled_tiles_broken_png.zip").read_bytes()
        with zipfile.ZipFile(io.BytesIO(broken)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        found = labelled_tiles(zipped(files | dict([next(iter(tiles.items()))])), bundle.session_of("tile"))
        assert len(found.cases.frame) == 1
        assert len(found.problems) == len(files)
        assert sum("not a tile that can be read" in problem for problem in found.problems) >= 3
        with pytest.raises(EvaluationError, match="No tile of the archive can be read"):
            labelled_tiles(broken, bundle.session_of("tile"))

    def test_a_tile_is_found_again_for_the_gallery(self, tiles: dict[str, bytes], bundle: Bundle) -> None:
        archive = zipped(tiles)
        case = labelled_tiles(archive, bundle.session_of("tile")).cases.frame["case"].iloc[0]
        with Image.open(io.BytesIO(tiles[case])) as original:
            assert picture_of(archive, case).tobytes() == original.convert("RGB").tobytes()

    @pytest.mark.parametrize(
        ("files", "error", "words"),
        [
            ({"readme.txt": b"nothing"}, EvaluationError, "no usable tile"),
            ({"tumour/1.png": b"x"}, EvaluationError, "is not one of benign, scc, ac, other"),
            ({"../scc/1.png": b"x"}, UploadRefused, "leads out"),
        ],
    )
    def test_an_archive_that_is_none_is_refused_with_what_is_wanted(
        self, files: dict[str, bytes], error: type[Exception], words: str, bundle: Bundle
    ) -> None:
        with pytest.raises(error, match=words):
            labelled_tiles(zipped(files), bundle.session_of("tile"))

    def test_a_file_that_is_no_zip_is_refused(self, bundle: Bundle) -> None:
        with pytest.raises(UploadRefused, match="cannot be unpacked"):
            labelled_tiles(b"no zip at all", bundle.session_of("tile"))


class TestPatients:
    def test_rows_get_the_scores_of_the_page_patients_and_equal_rows_one_group(self, data_dir: Path, bundle: Bundle) -> None:
        session = bundle.session("risk-factors")
        content = (data_dir / "tables/uci_risk_factors_cervical_cancer.csv").read_bytes()
        labelled = labelled_patients(content, session)
        found = labelled.cases.frame.set_index("case")
        shown = score_patients(read_patients(content), session)["risk"].dropna()
        assert found.index.tolist() == [f"line {line}" for line in shown.index]
        assert len(found) + labelled.cases.unanswered == 858
        np.testing.assert_allclose(found["p_yes"], shown, atol=1e-5)
        assert found["group"].nunique() < len(found)

    def test_a_table_without_outcomes_or_of_another_format_is_refused(self, bundle: Bundle) -> None:
        visits = sample_visits_csv(20).encode()
        with pytest.raises(EvaluationError, match="no single column of outcomes"):
            labelled_patients(visits, bundle.session("history"))
        with pytest.raises(EvaluationError, match="another format"):
            labelled_patients(visits, bundle.session("risk-factors"))

    def test_courses_are_read_from_any_row_of_a_woman_and_contradictions_told(self, bundle: Bundle) -> None:
        frame = pd.read_csv(io.StringIO(sample_visits_csv(12)), dtype=str, keep_default_na=False)
        frame["outcome"] = ""
        women = frame["patient_id"].unique()
        for woman, outcome in zip(women[:6], ["none"] * 4 + ["cin3-3y", "unheard of"], strict=True):
            frame.loc[frame.index[frame["patient_id"] == woman][0], "outcome"] = outcome
        rows = frame.index[frame["patient_id"] == next(w for w in women[6:] if (frame["patient_id"] == w).sum() > 1)]
        frame.loc[rows[0], "outcome"], frame.loc[rows[1], "outcome"] = "none", "cin2-3y"
        found = labelled_patients(frame.to_csv(index=False).encode(), bundle.session("history"))
        assert len(found.cases.frame) + found.cases.unanswered == 5
        assert any("unheard of" in problem for problem in found.problems)
        assert any("different outcomes" in problem for problem in found.problems)


class TestQuestions:
    def test_cases_without_an_answer_are_set_aside_and_counted(self) -> None:
        frame = pd.DataFrame(
            {"case": ["1", "2"], "group": ["1", "2"], "label": ["yes", "no"], "p_no": [0.1, None], "p_yes": [0.9, None]}
        )
        cases = CaseSet("mine", frame, ["no", "yes"])
        assert cases.unanswered == 1
        assert cases.frame["case"].tolist() == ["1"]

    def test_the_worst_mistake_stands_first(self, bundle: Bundle) -> None:
        model = bundle.session_of("tile").model
        task = next(task for task in model.derived_tasks if task.id == "scc-versus-ac")
        question = Question(held_out_cases(bundle, model), task, 0.5)
        worst = worst_mistakes(question)
        report = question.report()
        assert len(worst) == report.false_positive + report.false_negative
        assert worst["far"].is_monotonic_decreasing
        assert (worst["called"] == (worst["score"] >= 0.5)).all()
        assert (worst["called"] != (worst["label"] == "scc")).all()

    def test_reliability_counts_every_case_once_and_bounds_what_was_observed(self, bundle: Bundle) -> None:
        model = bundle.session("history").model
        question = Question(held_out_cases(bundle, model), model.derived_tasks[0], 0.01)
        bins = question.reliability()
        assert bins["n"].sum() == len(question.scores.score)
        assert bins["events"].sum() == question.scores.positive.sum()
        assert bins["score"].is_monotonic_increasing
        assert bins["observed"].between(bins["low"] - 1e-12, bins["high"]).all()
        one = reliability(np.array([True, False]), np.array([0.5, 0.5]), np.array(["a", "b"]))
        assert one[["score", "observed", "n"]].to_numpy().tolist() == [[0.5, 0.5, 2]]


class TestDrift:
    def test_the_same_scores_do_not_move_and_shifted_ones_do(self) -> None:
        scores = np.random.default_rng(0).random(2000)
        assert stability_index(scores, scores) == pytest.approx(0)
        assert stability_index(scores, np.clip(scores + 0.3, 0, 1)) > 0.25

    def test_one_class_alone_is_compared_without_auroc(self, bundle: Bundle) -> None:
        model = bundle.session_of("tile").model
        cases = held_out_cases(bundle, model)
        task = model.derived_tasks[0]
        benign = CaseSet("mine", cases.frame[cases.frame["label"] == "benign"].reset_index(drop=True), model.class_ids)
        table = drift_table(Question(cases, task, 0.5), Question(benign, task, 0.5)).set_index("property")
        assert "AUROC" not in table.index
        assert table.loc["Share with the condition", "how far"] == "intervals apart"
        assert "large shift" in table.loc["Score, median", "how far"]
