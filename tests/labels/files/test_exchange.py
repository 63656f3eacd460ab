"""Labels leave the store and come back, row by row, without doubling and without formulas."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix import RESEARCH_NOTICE
from cervix.errors import LabelRefused
from cervix.labels import LabelStore, open_store, patient_case
from cervix.labels.files.exchange import read_events, write_events
from cervix.labels.files.qupath import read_qupath, write_qupath
from tests.labels.making import BUNDLE, SLIDES, TILES, WORDS, adjudicate, filled, label


@pytest.fixture
def told(store: LabelStore) -> LabelStore:
    label(
        store, TILES[0], "A", "scc", comment="=HYPERLINK(1)", seconds_taken=1.5, blinded=False, bundle_sha256=BUNDLE,
        bundle_version="0.4.0", probabilities={"scc": 0.5},
    )  # fmt: skip
    label(store, TILES[1], "A", "ac")
    store.undo("A")
    label(store, TILES[1], "A", "benign")
    label(store, TILES[2], "A", "unsure")
    label(store, TILES[6], "+B", "skip")
    adjudicate(store, TILES[7], "ac")
    return store


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_events_go_out_and_come_back_whole_and_once(told: LabelStore, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"labels.{suffix}"
    assert write_events(told, path) == 7
    with filled(open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")) as other:
        report = read_events(other, path)
        assert (report.added, report.known, report.problems) == (7, 0, [])
        pd.testing.assert_frame_equal(other.events(), told.events())
        pd.testing.assert_frame_equal(
            other.truths()[["case_id", "label", "status"]], told.truths()[["case_id", "label", "status"]]
        )
        again = read_events(other, path)
        assert (again.added, again.known, again.problems) == (0, 7, [])
    assert read_events(told, path).known == 7


def test_a_reader_who_may_bring_only_his_own_brings_no_others_and_no_adjudication(told: LabelStore, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    write_events(told, path)
    with filled(open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")) as other:
        report = read_events(other, path, only_of="A")
        assert (report.added, report.known) == (5, 0)
        assert [problem.split(":")[0] for problem in report.problems] == ["row 7", "row 8"]
        assert "expected your own labels, as A" in report.problems[0]
        assert read_events(other, path, only_of="Prof Old").added == 0, "an adjudication needs more rights"


def test_every_row_of_an_export_says_that_it_is_for_research(told: LabelStore, tmp_path: Path) -> None:
    write_events(told, tmp_path / "labels.parquet")
    assert set(pd.read_parquet(tmp_path / "labels.parquet")["notice"]) == {RESEARCH_NOTICE}


def test_a_parquet_row_that_names_no_reader_or_action_is_named_and_the_others_kept(store: LabelStore, tmp_path: Path) -> None:
    rows = [(TILES[0], "A", "label", "scc"), (TILES[1], None, "label", "scc"), (TILES[2], "A", None, "scc")]
    path = tmp_path / "labels.parquet"
    pd.DataFrame(rows, columns=["case_id", "reader", "action", "label"]).to_parquet(path)
    report = read_events(store, path)
    assert (report.added, [problem.split(":")[0] for problem in report.problems]) == (1, ["row 3", "row 4"])


def test_no_cell_of_the_csv_is_a_formula(told: LabelStore, tmp_path: Path) -> None:
    write_events(told, tmp_path / "labels.csv")
    text = (tmp_path / "labels.csv").read_text(encoding="utf-8")
    assert "'=HYPERLINK(1)" in text
    assert ",'+B," in text


def test_bad_rows_are_named_and_the_good_ones_kept(store: LabelStore, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = [
        f"{TILES[0]},A,label,scc,true",
        f"{TILES[1]},A,label,lymphoma,true",
        "tile:nowhere:0:0:1,A,label,scc,true",
        f"{TILES[2]},,label,scc,true",
        f"{TILES[3]},A,undo,,true",
        f"{TILES[4]},A,label,scc,perhaps",
        f"{TILES[5]},A,unsure,,",
    ]
    path.write_text("\n".join(["case_id,reader,action,label,blinded", *rows]), encoding="utf-8")
    report = read_events(store, path)
    assert report.added == 2
    assert [problem.partition(":")[0] for problem in report.problems] == [f"row {row}" for row in (3, 4, 5, 6, 7)]
    for problem, said in zip(
        report.problems, ("no such class", "no such case", "no usable name", "not there", "neither true"), strict=True
    ):
        assert said in problem
    assert read_events(store, path).known == 2


def test_a_tile_can_be_named_by_its_slide_and_place(store: LabelStore, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        f"source,x_l0_px,y_l0_px,size_l0_px,reader,action,label\n{SLIDES[1]},448,0,448,A,label,ac\n{SLIDES[1]},x,0,448,A,label,ac\n",
        encoding="utf-8",
    )
    report = read_events(store, path)
    assert report.added == 1
    assert "row 3: x_l0_px is not a whole number" in report.problems[0]
    assert store.truths()["case_id"].tolist() == [TILES[7]]


def test_an_event_undone_by_two_people_is_undone_once(told: LabelStore, tmp_path: Path) -> None:
    with filled(open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")) as other:
        write_events(told, tmp_path / "before.csv")
        read_events(other, tmp_path / "before.csv")
        told.undo("A")
        other.undo("A")
        write_events(told, tmp_path / "after.csv")
        report = read_events(other, tmp_path / "after.csv")
        assert (report.added, report.known) == (0, 7)
        assert "undone already" in report.problems[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "not a table"), (b"PK\x03\x04\0\0\0", "not a table"), (b"a,b\n1,2\n", "lacks columns: expected reader, action")],
)
def test_a_file_that_is_no_table_of_labels_is_one_sentence(
    store: LabelStore, content: bytes, said: str, tmp_path: Path
) -> None:
    for suffix in ("csv", "parquet") if said == "not a table" else ("csv",):
        path = tmp_path / f"labels.{suffix}"
        path.write_bytes(content)
        with pytest.raises(LabelRefused, match=said):
            read_events(store, path)
    with pytest.raises(LabelRefused, match="cannot be opened"):
        read_events(store, tmp_path / "nowhere.csv")


def test_what_a_reader_said_goes_to_qupath_and_back_once(told: LabelStore, tmp_path: Path) -> None:
    path = tmp_path / "labels.geojson"
    assert write_qupath(told, SLIDES[0], path, classes=WORDS, reader="A") == 3
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["classification"]["name"] for feature in features] == [
        "Squamous-cell carcinoma", "Benign", "Unsure",
    ]  # fmt: skip
    assert features[1]["geometry"]["coordinates"][0][0] == [448, 0]
    assert read_qupath(told, path, "A", classes=WORDS).known == 3
    with filled(open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")) as other:
        assert read_qupath(other, path, "A", classes=WORDS).added == 3
        assert read_qupath(other, path, "A", classes=WORDS).known == 3
        columns = ["case_id", "reader", "action", "label"]
        pd.testing.assert_frame_equal(other.reads()[columns], told.reads()[columns].iloc[:3])


def test_a_class_that_was_changed_in_qupath_is_a_new_label_once(told: LabelStore, tmp_path: Path) -> None:
    path = tmp_path / "labels.geojson"
    write_qupath(told, SLIDES[0], path, classes=WORDS, reader="A")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["features"][0]["properties"]["classification"]["name"] = "adenocarcinoma"
    path.write_text(json.dumps(document["features"]), encoding="utf-8")  # QuPath keeps no provenance
    with pytest.raises(LabelRefused, match="on which slide"):
        read_qupath(told, path, "A", classes=WORDS)
    reports = [read_qupath(told, path, "A", classes=WORDS, slide_sha256=SLIDES[0]) for _ in range(2)]
    assert [(report.added, report.known) for report in reports] == [(1, 2), (0, 3)]
    assert told.truths().set_index("case_id").loc[TILES[0], "label"] == "ac"


def test_what_counts_goes_to_qupath(told: LabelStore, tmp_path: Path) -> None:
    assert write_qupath(told, SLIDES[0], tmp_path / "truth.geojson") == 2
    assert write_qupath(told, SLIDES[1], tmp_path / "truth.geojson") == 1
    with pytest.raises(LabelRefused, match="No tile of this slide"):
        write_qupath(told, "e" * 64, tmp_path / "truth.geojson")


def test_objects_that_are_no_tiles_are_named(told: LabelStore, tmp_path: Path) -> None:
    path = tmp_path / "labels.geojson"
    write_qupath(told, SLIDES[0], path, reader="A")
    document = json.loads(path.read_text(encoding="utf-8"))
    good, moved, odd = document["features"]
    moved["geometry"]["coordinates"][0] = [[x + 1, y] for x, y in moved["geometry"]["coordinates"][0]]
    odd["geometry"]["coordinates"][0][2][0] += 5
    strange = json.loads(json.dumps(good))
    strange["properties"]["classification"]["name"] = "Stroma"
    plain = json.loads(json.dumps(good))
    del plain["properties"]["classification"]
    document["features"] = [good, moved, odd, strange, plain, None]
    path.write_text(json.dumps(document), encoding="utf-8")
    report = read_qupath(told, path, "A")
    assert (report.added, report.known) == (0, 1)
    assert [problem.partition(":")[0] for problem in report.problems] == ["object 2", "object 3", "object 4"]
    assert "no such class: expected benign, scc, ac, other; found 'Stroma'" in report.problems[2]
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(LabelRefused, match="not GeoJSON"):
        read_qupath(told, path, "A")


def test_brackets_within_brackets_by_the_thousand_are_no_geojson(cases_dir: Path, sqlite_url: str) -> None:
    with filled(open_store(sqlite_url)) as store, pytest.raises(LabelRefused, match="The file is not GeoJSON"):
        read_qupath(store, cases_dir / "hostile/deeply_nested.geojson", "A", slide_sha256=SLIDES[0])


@pytest.mark.parametrize("corner", ["1" + "0" * 400, "1e999", "NaN", "{}", '"a"'])
def test_an_object_at_no_place_is_named_and_the_others_are_read(corner: str, sqlite_url: str, tmp_path: Path) -> None:
    ring = f"[[[{corner}, 0], [1, 0], [1, 1], [{corner}, 1], [{corner}, 0]]]"
    classified = '"properties": {"classification": {"name": "scc"}}'
    (tmp_path / "objects.geojson").write_text(
        f'[{{"type": "Feature", {classified}, "geometry": {{"type": "Polygon", "coordinates": {ring}}}}}]'
    )
    with filled(open_store(sqlite_url)) as store:
        report = read_qupath(store, tmp_path / "objects.geojson", "A", slide_sha256=SLIDES[0])
    assert report.added == 0
    assert report.problems == ["object 1: The object is not a tile: expected a square polygon in whole pixels."]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ";"), ("utf-8-sig", ","), ("utf-16", "\t"), ("utf-16-le", ";"), ("cp1252", ";")]
)
def test_a_table_that_went_through_a_spreadsheet_is_read_and_once(
    store: LabelStore, encoding: str, delimiter: str, tmp_path: Path
) -> None:
    rows = [
        ("Reader", "ACTION", "Case ID", "Label", "comment", "blinded", "seconds taken"),
        ("Zoë", "Label", TILES[0], " SCC", "", "WAHR", "1.5" if delimiter == "," else "1,5"),
        (" Zoë ", "unsure ", f" {TILES[1]}", "", "", "FALSCH", ""),
    ]
    path = written(tmp_path / "labels.csv", "".join(delimiter.join(row) + "\r\n" for row in rows), encoding)
    report = read_events(store, path)
    assert (report.added, report.problems) == (2, [])
    reads = store.reads("tile")
    assert reads[["case_id", "reader", "action", "label"]].fillna("").to_numpy().tolist() == [
        [TILES[0], "Zoë", "label", "scc"], [TILES[1], "Zoë", "unsure", ""],
    ]  # fmt: skip
    assert store.events()["seconds_taken"].iloc[0] == 1.5
    assert read_events(store, path).known == 2
    plain = written(tmp_path / "plain.csv", f"reader,action,case_id,label\nZoë,label,{TILES[0]},scc\n")
    assert read_events(store, plain).known == 1, "the same label, told plainly, is the same event"


def test_labels_with_semicolons_are_read(store: LabelStore, cases_dir: Path) -> None:
    report = read_events(store, cases_dir / "patients/l02_semicolon.csv")
    assert len(report.problems) == 1
    assert "no such case" in report.problems[0]
    women = pd.read_csv(cases_dir / "patients/l11_good_semicolon_bom.csv", sep=";", encoding="utf-8-sig")["case_id"].unique()
    table, pseudonyms = women[0].split(":")[1], [woman.split(":")[2] for woman in women]
    store.add_cases(patient_case(table, pseudonym, {"age": [30]}) for pseudonym in pseudonyms)
    for added, known in ((6, 0), (0, 6)):
        report = read_events(store, cases_dir / "patients/l11_good_semicolon_bom.csv")
        assert (report.added, report.known, report.problems) == (added, known, [])


def test_an_export_that_a_spreadsheet_saved_with_semicolons_adds_nothing(told: LabelStore, tmp_path: Path) -> None:
    label(told, TILES[3], "A", "scc", comment="two lines, of\nwhich one; has, many, commas, " + "a, " * 40)
    write_events(told, tmp_path / "labels.csv")
    events = pd.read_csv(tmp_path / "labels.csv", dtype=str, keep_default_na=False)
    events.to_csv(tmp_path / "saved.csv", sep=";", index=False, encoding="utf-16")
    for name in ("labels.csv", "saved.csv"):
        report = read_events(told, tmp_path / name)
        assert (report.added, report.known, report.problems) == (0, 8, [])


def test_a_capital_does_not_let_a_reader_adjudicate(store: LabelStore, tmp_path: Path) -> None:
    path = written(tmp_path / "labels.csv", f"reader,action,case_id,label\nA,Adjudicate,{TILES[0]},scc\n")
    report = read_events(store, path, only_of="A")
    assert report.added == 0
    assert "not yours to add" in report.problems[0]


def test_a_column_that_is_named_twice_is_refused(store: LabelStore, tmp_path: Path) -> None:
    path = written(tmp_path / "labels.csv", f"reader,Reader,action,case_id,label\nA,B,label,{TILES[0]},scc\n")
    with pytest.raises(LabelRefused, match="names a column twice: found reader"):
        read_events(store, path)


def test_a_broken_geojson_is_told_before_a_missing_reader(store: LabelStore, tmp_path: Path) -> None:
    path = written(tmp_path / "labels.geojson", '{"type": "FeatureCollection", "features": [')
    with pytest.raises(LabelRefused, match="not GeoJSON"):
        read_qupath(store, path, "")
    whole = written(tmp_path / "labels.geojson", '{"type": "FeatureCollection", "features": []}')
    with pytest.raises(LabelRefused, match="whose labels these are.*--reader"):
        read_qupath(store, whole, " ")


def test_a_row_with_a_character_that_no_database_keeps_is_left_out_alone(told: LabelStore, tmp_path: Path) -> None:
    write_events(told, tmp_path / "labels.parquet")
    table = pd.read_parquet(tmp_path / "labels.parquet").drop(columns=["key", "undoes_key"])
    table = table[table["action"] == "label"].assign(reader="B")
    table.loc[table.index[1], "case_id"] = "\0" + table["case_id"].iloc[1]
    table.to_parquet(tmp_path / "torn.parquet")
    report = read_events(told, tmp_path / "torn.parquet")
    assert report.added == len(table) - 1
    (problem,) = report.problems
    assert problem.startswith("row 3: A cell holds the character NUL")


def test_a_parquet_table_with_any_damage_is_one_sentence_or_read(told: LabelStore, tmp_path: Path) -> None:
    write_events(told, tmp_path / "labels.parquet")
    whole, rng = (tmp_path / "labels.parquet").read_bytes(), np.random.default_rng(7)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(len(whole), size=3):
            damaged[at] ^= 1 << int(rng.integers(8))
        # What pandas wrote of its columns lies in the footer.
        at = whole.rindex(b'"name"') + int(rng.integers(6))
        damaged[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "damaged.parquet").write_bytes(bytes(damaged))
        try:
            read_events(told, tmp_path / "damaged.parquet")
        except LabelRefused:
            refused += 1
    assert refused > 100
