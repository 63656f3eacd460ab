"""The molecular recipe on TCGA's tables, with repeats few enough for a test."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.training, pytest.mark.slow]

from cervix.bundle.loading import replay_golden  # noqa: E402
from cervix.bundle.manifest import Model  # noqa: E402
from cervix.bundle.sessions import CPU_PROVIDER, ModelSession, open_session  # noqa: E402
from cervix.evaluation.comparison import parsed_decimal  # noqa: E402
from cervix.molecular.golden import replay_markers  # noqa: E402
from cervix.molecular.reading import read_markers  # noqa: E402
from cervix.molecular.scoring import markers_of, score_markers  # noqa: E402
from training.bundle.build import about_build, assemble_bundle, card_facts  # noqa: E402
from training.cli import RECIPES_DIR, main  # noqa: E402
from training.molecular.data import FILES, MolecularDataMissing, load_cohort, load_lung  # noqa: E402
from training.molecular.recipe import train_molecular  # noqa: E402

RECIPE = RECIPES_DIR / "molecular.toml"
Made = tuple[Model, Path]


@pytest.fixture(scope="module")
def omics(data_dir: Path) -> Path:
    return data_dir / "omics"


@pytest.fixture(scope="module")
def made(omics: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The recipe with one repeat, one choice of penalty and one permutation."""
    text = RECIPE.read_text(encoding="utf-8")
    for slow, quick in (
        ("marker_counts = [4, 6, 8]", "marker_counts = [6]"),
        ("penalties = [0.1, 0.3, 1.0]", "penalties = [0.3]"),
        ("repeats = 5 ", "repeats = 1 "),
        ("permutations = 20", "permutations = 1"),
        ("assays = 40 ", "assays = 4 "),
    ):
        assert slow in text
        text = text.replace(slow, quick)
    folder = tmp_path_factory.mktemp("molecular")
    (folder / "quick.toml").write_text(text, encoding="utf-8")
    (model,) = train_molecular(folder / "quick.toml", omics, folder / "out", lambda _: None)
    return model, folder / "out"


@pytest.fixture(scope="module")
def session(made: Made) -> ModelSession:
    model, out = made
    variant = model.variants[0]
    return ModelSession(model, variant, open_session((out / variant.file).read_bytes(), CPU_PROVIDER), CPU_PROVIDER)


def table(made: Made, name: str) -> pd.DataFrame:
    return pd.read_csv(made[1] / f"molecular/{name}.csv").set_index(pd.read_csv(made[1] / f"molecular/{name}.csv").columns[0])


def test_figures_by_hospital_and_frozen_in_the_lung_are_as_stated(made: Made) -> None:
    rivals, external = table(made, "rivals"), table(made, "external")
    assert parsed_decimal(rivals["AUROC"].iloc[0]).value > 0.96
    assert parsed_decimal(rivals["calibration error"].iloc[0]).value < 0.05
    assert parsed_decimal(external["AUROC"].iloc[1]).value > 0.955
    assert "991, 513 glandular" in external["n"].to_numpy()
    chance = rivals["AUROC"].iloc[-1]
    assert 0.3 < float(chance.split()[0]) < 0.7
    assert all(parsed_decimal(of).value < 0.9 for of in rivals["AUROC"].iloc[-4:-1]), (
        "proteins, arms, mutations with HPV and age"
    )


def test_wrong_tables_are_refused_and_true_tumours_are_not(made: Made) -> None:
    refused = table(made, "gate")["refused"].str.split().str[0].astype(float)
    assert refused["reads per million, as they should be"] <= 5
    assert (refused[[name for name in refused.index if re.match(r"log|ln|per cent|share", name)]] >= 95).all()
    assert refused["another assay, factors of spread 2^2"] >= 95
    assert refused["cervix, normal tissue"] == 100


def test_golden_vectors_and_table_are_reproduced(made: Made, session: ModelSession) -> None:
    model, out = made
    assert replay_golden(session, (out / model.golden).read_bytes()).passed
    contents = {name: (out / name).read_bytes() for name in model.files}
    assert replay_markers(session, contents).passed


def test_the_part_becomes_a_bundle_that_proves_itself_with_a_card(made: Made, tmp_path: Path) -> None:
    model, out = made
    manifest = assemble_bundle(out, tmp_path / "bundle", [model], about_build([model]))
    assert {"molecular/golden.csv", "molecular/sample.csv"} <= {file.path for file in manifest.files}
    card = (tmp_path / "bundle/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "with HPV 18 or 45" in card
    assert "cancer.gov/tcga" in card


def test_predictions_hold_every_patient_once_under_a_drawn_name(made: Made) -> None:
    frame = pd.read_parquet(made[1] / "molecular/predictions.parquet")
    assert sorted(frame["case"]) == [f"T{number:03d}" for number in range(1, 302)]
    assert frame["label"].value_counts().to_dict() == {"scc": 254, "ac": 47}
    assert np.allclose(frame["p_scc"] + frame["p_ac"], 1, atol=1e-3)


def test_the_test_fold_is_predicted_by_the_exported_model(made: Made, session: ModelSession) -> None:
    frame = pd.read_parquet(made[1] / "molecular/predictions.parquet").set_index("case")
    sample = read_markers(made[1] / "molecular/sample.csv", markers_of(session))
    found = session.run({"rpm": sample.rpm}, ["probabilities"])["probabilities"][:, 1]
    assert len(sample.tumours) == 12
    assert sample.problems == []
    assert np.allclose(found, frame.loc[sample.tumours, "p_ac"], atol=2e-3)


def test_the_sample_is_answered(made: Made, session: ModelSession) -> None:
    frame = score_markers(read_markers(made[1] / "molecular/sample.csv", markers_of(session)), session).frame
    assert (frame["answer"] != "").sum() >= 10


def test_no_file_names_a_patient_of_tcga(made: Made) -> None:
    files = [path for path in made[1].rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        assert b"TCGA-" not in path.read_bytes().replace(b"TCGA-CESC", b"").replace(b"TCGA-LU", b""), path.name


def test_adenosquamous_tumours_are_shown_and_taught_nothing(made: Made, omics: Path) -> None:
    left_out = table(made, "left-out")
    assert left_out.loc["cervix, adenosquamous", "n"] == 6
    assert len(load_cohort(omics, 0).cases) == 301


def test_mutations_and_hpv_types_are_counted_by_kind_with_an_interval(made: Made) -> None:
    context = pd.read_csv(made[1] / "molecular/context.csv").set_index(["gene or HPV type", "kind"])
    assert context.loc[("KRAS mutated", "glandular"), ["n", "of"]].tolist() == [9, 44]
    assert context.loc[("KRAS mutated", "squamous"), "share"] == "2.9 % (1.4–5.9)"
    of_hpv = context[context.index.get_level_values(0).str.contains("HPV")]
    assert of_hpv.groupby("kind")["n"].sum().to_dict() == {"glandular": 47, "squamous": 254}


def test_a_marker_that_only_one_lung_table_has_is_not_used_there(omics: Path) -> None:
    cohort = load_cohort(omics, 0)
    lung = load_lung(omics, cohort.markers)
    missing = np.isnan(lung.rpm)
    assert (missing.all(axis=0) | ~missing.any(axis=0)).all(), "what is missing would tell the diagnosis"
    assert missing[:, cohort.markers == "hsa-mir-944"].all()


def test_the_card_has_facts_of_the_model() -> None:
    assert "microRNA" in card_facts().models["molecular"].keywords


def test_missing_tables_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MolecularDataMissing, match=FILES[0]):
        load_cohort(tmp_path, 0)
    assert main(["molecular", "--omics", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "--omics" in capsys.readouterr().err


def test_the_recipe_names_the_key_markers() -> None:
    told = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    assert told["model"]["key_markers"] == ["hsa-mir-205", "hsa-mir-944", "hsa-mir-375"]
    assert told["abstention"] == {"reference_known_at_least": 0.75, "key_known_at_least": 0.3}
