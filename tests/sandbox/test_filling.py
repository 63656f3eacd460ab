"""A filled home: made-up labels that say so, readers who mostly agree, and a candidate that learned from these labels."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.bundle.loading import read_manifest, read_verified
from cervix.errors import BundleError, LabelRefused
from cervix.intake.shelf import seen_slide, thumbnail_path
from cervix.labels import LabelStore, open_store, patient_case
from cervix.labels.insight.agreement import all_readers, pairs
from cervix.patients.golden import prove_bundle
from cervix.promotion.comparison import compare_bundles
from cervix.retraining.desk import RetrainingDesk
from cervix.sandbox import READER_A, READER_B, Filled, fill
from cervix.sandbox.candidate import REMAKE, candidate_of, sample_candidate
from cervix.settings import PROJECT_ROOT, Settings

STALE = f"The sample candidate was not made from the bundle that ships. Run `{REMAKE}` and commit cervix/sandbox/candidate.zip."


@dataclass(frozen=True)
class Home:
    """A home that was filled with the bundle that ships."""

    settings: Settings
    store: LabelStore
    filled: Filled
    told: list[float]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, shipped_bundle: Bundle) -> Iterator[Home]:
    settings = Settings(home=tmp_path_factory.mktemp("sandbox"), labels_url="", offline=True)
    told: list[float] = []
    filled = fill(settings, shipped_bundle, lambda share, _: told.append(share))
    with open_store(settings.label_store_url) as store:
        yield Home(settings, store, filled, told)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    """Settings of another home, which is empty."""
    return Settings(home=tmp_path / "elsewhere", labels_url="", offline=True)


def test_the_candidate_in_the_package_is_of_the_bundle_that_ships() -> None:
    assert sample_candidate().lineage.parent_sha256 == read_manifest(PROJECT_ROOT / "bundle")[1], STALE


def test_two_readers_agree_mostly_and_leave_cases_to_settle_and_to_read(home: Home) -> None:
    reads, truths = home.store.reads("tile"), home.store.truths("tile")
    (pair,) = pairs(reads).itertuples()
    assert {pair.first, pair.second} == {READER_A, READER_B}
    assert 0.6 <= pair.kappa <= 0.8
    assert all_readers(reads) is not None
    assert (truths["status"] == "disputed").sum() >= 5
    assert set(truths["label"].dropna()) == {"benign", "scc", "ac"}
    assert home.filled.left == len(home.store.cases()) - len(truths) == 16
    assert (home.filled.cases, home.filled.labels) == (len(home.store.cases()), len(reads))


def test_all_of_it_says_that_it_is_made_up_and_was_given_blinded_in_plausible_times(home: Home) -> None:
    events, trail = home.store.events(), home.store.audit_trail()
    assert events["reader"].str.endswith("(made up)").all()
    assert events["comment"].str.startswith("Made up").all()
    assert events["blinded"].all()
    assert events["seconds_taken"].between(1, 60).all()
    assert list(trail["what"]) == ["retrain", "fill with samples"]
    assert trail["who"].str.endswith("(made up)").all()
    assert all(detail["note"].startswith("Made up") for detail in trail["detail"])
    assert home.told == sorted(home.told)
    assert (home.told[0], home.told[-1]) == (0.0, 1.0)


def test_the_tissue_around_every_tile_can_be_shown(home: Home) -> None:
    for source in set(home.store.cases()["source"]):
        entry = seen_slide(home.settings.shelf_dir, source)
        assert entry is not None
        assert entry.path.is_file()
        assert thumbnail_path(home.settings.shelf_dir, source).is_file()


def test_the_same_again_adds_nothing(home: Home, shipped_bundle: Bundle) -> None:
    def rows() -> list[int]:
        tables = (home.store.cases(), home.store.events(), home.store.audit_trail(), home.store.scores(shipped_bundle.sha256))
        return [len(table) for table in tables]

    before = rows()
    assert fill(home.settings, shipped_bundle, lambda *_: None) == home.filled
    assert rows() == before


def test_shipped_scores_are_what_the_bundle_answers(home: Home, elsewhere: Settings, shipped_bundle: Bundle) -> None:
    from cervix.labels.gathering.rescoring import rescore

    kept = home.store.scores(shipped_bundle.sha256).set_index("case_id")
    some = kept.index[:8].tolist()
    with open_store(elsewhere.label_store_url) as store:
        store.add_cases(home.store.case(case) for case in some)
        rescore(store, "tile", some, shipped_bundle, "ann")
        live = store.scores(shipped_bundle.sha256).set_index("case_id")
    for case in some:
        assert live.loc[case, "probabilities"] == pytest.approx(kept.loc[case, "probabilities"], abs=0.02)
        assert live.loc[case, "novelty"] == pytest.approx(kept.loc[case, "novelty"], abs=2.0)
        assert live.loc[case, "embedding"] == pytest.approx(kept.loc[case, "embedding"], abs=0.5)


def test_the_candidate_proves_itself_and_differs_in_weights_and_figures(home: Home, shipped_bundle: Bundle) -> None:
    assert home.filled.candidate is not None
    assert home.filled.candidate.parent == home.settings.bundles_dir
    read_verified(home.filled.candidate)
    candidate = prove_bundle(home.filled.candidate, device="cpu")
    assert candidate.sha256 == sample_candidate().sha256
    comparison = compare_bundles(shipped_bundle, candidate)
    (changed,) = comparison.changed
    assert (changed.id, changed.fits, changed.problem) == (shipped_bundle.manifest.first_of("tile").id, True, "")
    assert any(difference.value for difference in changed.pairs[changed.main_task].differences.values())
    assert changed.new_cases, "beside its parent on the labelled cases too"


def test_the_candidate_learned_from_exactly_the_labels_that_count_here(home: Home) -> None:
    assert home.filled.candidate is not None
    lineage = sample_candidate().lineage
    learned = pd.read_csv(home.filled.candidate / lineage.events).set_index("key")["label"].to_dict()
    counted = set(home.store.truths("tile").dropna(subset="label")["case_id"])
    events = home.store.events()
    here = events[(events["action"] == "label") & events["case_id"].isin(counted)].set_index("key")["label"].to_dict()
    assert learned == here, f"The readers or the drawn slides changed. Run `{REMAKE}`."
    assert sum(lineage.labels.values()) == len(counted)


def test_the_run_that_made_it_is_listed_with_its_log(home: Home) -> None:
    desk = RetrainingDesk(home.settings.retraining_dir, home.settings.bundles_dir)
    (run,) = desk.runs()
    assert (run.state, run.candidate_dir, run.candidate) == ("done", home.filled.candidate, sample_candidate().label)
    assert 10 < run.elapsed_s < 3600
    assert "head fitted on" in desk.log_path(run).read_text(encoding="utf-8")


def test_with_another_bundle_the_candidate_is_left_out_and_the_note_says_so(elsewhere: Settings, bundle: Bundle) -> None:
    filled = fill(elsewhere, bundle, lambda *_: None)
    assert filled.candidate is None
    assert "was retrained from another bundle" in filled.note
    assert REMAKE in filled.note
    assert not elsewhere.bundles_dir.exists()
    with open_store(elsewhere.label_store_url) as store:
        assert len(store.scores(bundle.sha256, "tile")) == filled.cases
        assert "retrain" not in set(store.audit_trail()["what"])


def test_made_up_labels_do_not_go_among_those_of_others(elsewhere: Settings, shipped_bundle: Bundle) -> None:
    with open_store(elsewhere.label_store_url) as store:
        store.declare_classes("patient", ["no", "yes"])
        store.add_cases([patient_case("c" * 64, "w", {"age": [30]})])
        with pytest.raises(LabelRefused, match="expected a home without labels; found 1 case"):
            fill(elsewhere, shipped_bundle, lambda *_: None)
        assert (len(store.cases()), len(store.audit_trail())) == (1, 0)


def test_a_bundle_of_other_classes_is_refused_before_anything_is_kept(elsewhere: Settings, four_class_bundle: Bundle) -> None:
    with pytest.raises(LabelRefused, match="expected benign, scc, ac; found"):
        fill(elsewhere, four_class_bundle, lambda *_: None)
    assert not elsewhere.home.exists()


def test_the_promoted_candidate_is_its_own_sample(home: Home) -> None:
    assert home.filled.candidate is not None
    candidate = prove_bundle(home.filled.candidate, device="cpu")
    assert candidate_of(candidate, home.settings.bundles_dir / "again") == home.filled.candidate


def test_a_folder_that_holds_another_bundle_is_left_alone(shipped_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    folder.mkdir()
    shutil.copyfile(PROJECT_ROOT / "bundle/manifest.json", folder / "manifest.json")
    with pytest.raises(BundleError, match="The folder sample holds another bundle"):
        candidate_of(shipped_bundle, folder)
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]
