"""Tables of markers as people bring them: read, or refused in a sentence that says what to do."""

import io

import numpy as np
import pandas as pd
import pytest

from cervix.bundle.manifest import MarkerInput
from cervix.errors import MarkerFileError, PatientFileError
from cervix.molecular.layout import TURNED
from cervix.molecular.reading import WHOLE_NUMBERS, MarkerTable, read_markers
from cervix.molecular.template import template_csv
from cervix.molecular.units import WHOLE_PROFILE
from tests.bundle.made.tumours import ANSWER, GATE, drawn_tumours

NAMES = [*ANSWER, *GATE]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Six drawn tumours as a table."""
    rpm, _ = drawn_tumours()
    return pd.DataFrame(rpm[:6].round(2), columns=NAMES, index=pd.Index([f"T{number}" for number in range(6)], name="tumour"))


def csv_of(frame: pd.DataFrame, **how: object) -> bytes:
    return frame.to_csv(**how).encode()  # type: ignore[arg-type,call-overload]


def whole_profile(frame: pd.DataFrame, total: float) -> pd.DataFrame:
    """The same with as many more markers as a profile has, so that the rows sum to a million, and that times ``total``."""
    others = [f"hsa-mir-{5000 + number}" for number in range(WHOLE_PROFILE)]
    rest = (1e6 - frame.sum(axis=1)) / len(others)
    return pd.concat([frame, pd.DataFrame(dict.fromkeys(others, rest))], axis=1) * (total / 1e6)


def expect(frame: pd.DataFrame, read: MarkerTable, rows: slice = slice(None), rtol: float = 1e-6) -> None:
    assert np.allclose(read.rpm, frame.to_numpy(np.float32)[rows], rtol=rtol, equal_nan=True)


def test_a_table_with_a_row_a_tumour_is_read_whole(frame: pd.DataFrame, markers: MarkerInput) -> None:
    read = read_markers(csv_of(frame), markers)
    expect(frame, read)
    assert (read.tumours, read.lines.tolist(), read.problems, read.left_out) == (list(frame.index), [2, 3, 4, 5, 6, 7], [], 0)


def test_genes_in_rows_and_tumours_in_columns_are_recognised_and_said(frame: pd.DataFrame, markers: MarkerInput) -> None:
    read = read_markers(csv_of(frame.T.rename_axis("gene")), markers)
    expect(frame, read)
    assert read.tumours == list(frame.index)
    assert TURNED in read.notices


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_read(frame: pd.DataFrame, markers: MarkerInput, separator: str) -> None:
    expect(frame, read_markers(csv_of(frame, sep=separator), markers))
    expect(frame, read_markers(csv_of(frame.T, sep=separator), markers))


def test_decimal_commas_are_read_where_semicolons_part_the_cells(frame: pd.DataFrame, markers: MarkerInput) -> None:
    expect(frame, read_markers(csv_of(frame, sep=";", decimal=","), markers))


@pytest.mark.slow
def test_a_file_of_parquet_is_read(frame: pd.DataFrame, markers: MarkerInput) -> None:
    file = io.BytesIO()
    frame.reset_index().to_parquet(file)
    expect(frame, read_markers(file.getvalue(), markers))


@pytest.mark.parametrize(
    "spelt", [str.upper, lambda name: name.replace("-", "_"), lambda name: name.replace("-", "."), lambda name: f" {name} ",
              lambda name: name.replace("hsa-mir-", "miR "), lambda name: "hsa-mir-151a" if name == "hsa-mir-151" else name],
)  # fmt: skip
def test_names_are_known_in_other_spellings_and_of_other_releases(
    frame: pd.DataFrame, markers: MarkerInput, spelt: object
) -> None:
    expect(frame, read_markers(csv_of(frame.rename(columns=spelt)), markers))  # type: ignore[call-overload]


def test_the_one_arm_of_a_precursor_is_taken_for_it_and_said(frame: pd.DataFrame, markers: MarkerInput) -> None:
    read = read_markers(csv_of(frame.rename(columns=lambda name: name.replace("mir", "miR") + "-5p")), markers)
    expect(frame, read)
    assert any("hsa-mir-205 from its 5p arm" in notice for notice in read.notices)


def test_of_two_arms_neither_is_taken_and_the_precursor_is_asked_for(frame: pd.DataFrame, markers: MarkerInput) -> None:
    arms = frame.rename(columns={"hsa-mir-205": "hsa-miR-205-5p"}).assign(**{"hsa-miR-205-3p": 1.0})
    read = read_markers(csv_of(arms), markers)
    assert np.isnan(read.rpm[:, 0]).all()
    assert not np.isnan(read.rpm[:, 1:]).any()
    assert any("two arms" in notice and "hsa-mir-205" in notice for notice in read.notices)


def test_a_precursor_beside_its_arms_is_what_counts(frame: pd.DataFrame, markers: MarkerInput) -> None:
    expect(frame, read_markers(csv_of(frame.assign(**{"hsa-miR-205-5p": 1.0, "hsa-miR-205-3p": 2.0})), markers))


@pytest.mark.parametrize(("total", "word"), [(100.0, "per cent"), (1.0, "shares")])
def test_shares_of_a_whole_profile_become_reads_per_million(
    frame: pd.DataFrame, markers: MarkerInput, total: float, word: str
) -> None:
    read = read_markers(csv_of(whole_profile(frame, total)), markers)
    expect(frame, read, rtol=1e-4)
    assert any(f"6 rows hold {word}" in notice for notice in read.notices)


def test_counts_of_a_whole_profile_become_reads_per_million(frame: pd.DataFrame, markers: MarkerInput) -> None:
    read = read_markers(csv_of(whole_profile(frame, 3e7).round().astype(int)), markers)
    expect(frame, read, rtol=0.05)
    assert any("6 rows hold counts of reads" in notice for notice in read.notices)


def test_whole_numbers_of_a_few_markers_are_said_and_not_scaled(frame: pd.DataFrame, markers: MarkerInput) -> None:
    read = read_markers(csv_of((frame * 3).round().astype(int)), markers)
    expect((frame * 3).round(), read)
    assert WHOLE_NUMBERS in read.notices


def test_a_row_that_is_a_logarithm_is_left_out_and_said(frame: pd.DataFrame, markers: MarkerInput) -> None:
    mixed = frame.copy()
    mixed.iloc[2] = np.log2(mixed.iloc[2] + 1)
    read = read_markers(csv_of(mixed), markers)
    assert read.tumours == ["T0", "T1", "T3", "T4", "T5"]
    assert [(problem.row, problem.found) for problem in read.problems] == [(4, "logarithms")]
    assert "2^x - 1" in str(read.problems[0])


@pytest.mark.parametrize("taken", [lambda values: np.log2(values + 1), np.log1p, lambda values: np.log10(values + 1)])
@pytest.mark.parametrize("whole", [False, True])
def test_a_table_of_logarithms_is_refused(
    frame: pd.DataFrame, markers: MarkerInput, taken: object, whole: bool
) -> None:  # fmt: skip
    given = whole_profile(frame, 1e6) if whole else frame
    with pytest.raises(MarkerFileError, match="holds logarithms: expected reads per million.*2\\^x - 1"):
        read_markers(csv_of(taken(given)), markers)  # type: ignore[operator]


def test_a_whole_profile_with_another_sum_is_refused(frame: pd.DataFrame, markers: MarkerInput) -> None:
    with pytest.raises(MarkerFileError, match="No row of the table can be used: expected a whole profile"):
        read_markers(csv_of(whole_profile(frame, 3.3e6)), markers)


@pytest.mark.parametrize("text", ["high", "<5", "-3", "inf", "1.2.3", "1_000", "12,345", "1,234.5", "1e13"])
def test_a_cell_that_is_no_amount_counts_as_not_measured_and_is_listed(
    frame: pd.DataFrame, markers: MarkerInput, text: str
) -> None:
    broken = frame.astype(object)
    broken.iloc[1, 2] = text
    read = read_markers(csv_of(broken), markers)
    assert np.isnan(read.rpm[1, 2])
    assert np.isnan(read.rpm).sum() == 1
    assert [(problem.row, problem.column, problem.found) for problem in read.problems] == [(3, "hsa-mir-375", text)]
    assert read.not_read.tolist() == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("text", ["", "NA", "NaN", "n/a", "null", "-"])
def test_a_blank_says_not_measured_and_is_no_problem(frame: pd.DataFrame, markers: MarkerInput, text: str) -> None:
    blank = frame.astype(object)
    blank.iloc[1, 2] = text
    read = read_markers(csv_of(blank), markers)
    assert np.isnan(read.rpm[1, 2])
    assert read.problems == []


def test_a_table_of_centred_values_is_refused(frame: pd.DataFrame, markers: MarkerInput) -> None:
    with pytest.raises(MarkerFileError, match="holds negative values.* of 84 values below 0"):
        read_markers(csv_of(frame - frame.mean()), markers)


def test_the_same_row_again_counts_once_and_another_of_that_name_stays(frame: pd.DataFrame, markers: MarkerInput) -> None:
    other = frame.iloc[[1]].rename(index={"T1": "T0"})
    read = read_markers(csv_of(pd.concat([frame, frame.iloc[[0]], other])), markers)
    assert read.tumours == [*frame.index, "T0"]
    assert [(problem.row, problem.became) for problem in read.problems] == [(8, "row left out"), (9, "kept")]
    assert read.left_out == 1


def test_a_row_of_another_length_is_left_out_and_said(frame: pd.DataFrame, markers: MarkerInput) -> None:
    read = read_markers(csv_of(frame) + b"T9,1,2,3\n", markers)
    expect(frame, read)
    assert [(problem.row, problem.found) for problem in read.problems] == [(8, "4 cells")]


def test_tumours_without_names_are_called_by_their_rows(frame: pd.DataFrame, markers: MarkerInput) -> None:
    read = read_markers(csv_of(frame, index=False), markers)
    assert read.tumours[:2] == ["row 2", "row 3"]
    assert any("called by their row" in notice for notice in read.notices)


def test_one_marker_is_read_and_the_others_are_said_to_be_missing(frame: pd.DataFrame, markers: MarkerInput) -> None:
    read = read_markers(csv_of(frame[["hsa-mir-205"]]), markers)
    assert np.isnan(read.rpm[:, 1:]).all()
    assert any("13 of 14 markers" in notice for notice in read.notices)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty"),
        (b"  \n", "The file is empty"),
        (b"tumour,hsa-mir-205\n", "a header but no rows"),
        (b"tumour,age\nT1,44\n", "No column and no row of the table names a microRNA.*found 2 columns"),
        (b"tumour,hsa-mir-7777\nT1,44\n", "none of the markers that the model reads: expected hsa-mir-205"),
        (b"tumour,hsa-mir-205,HSA_MIR_205\nT1,1,2\n", "names hsa-mir-205 twice"),
        (b"tumour,hsa-mir-151,hsa-mir-151a\nT1,1,2\n", "names hsa-mir-151 twice.*hsa-mir-151 and hsa-mir-151a"),
        (b"gene\nhsa-mir-205\nhsa-mir-375\n", "holds no tumour"),
        (b"<html><table></table></html>", "This is a web page"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a text file"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_of_markers_is_refused_in_a_sentence(
    content: bytes, message: str, markers: MarkerInput
) -> None:
    with pytest.raises(PatientFileError, match=message):
        read_markers(content, markers)


def test_refusals_hold_no_cell_of_the_table(frame: pd.DataFrame, markers: MarkerInput) -> None:
    for given in (np.log2(frame + 1), frame - frame.mean()):
        with pytest.raises(MarkerFileError) as refused:
            read_markers(csv_of(given.rename(index=lambda name: f"Miller-{name}")), markers)
        assert "Miller" not in str(refused.value)


def test_the_template_is_read_without_a_problem(markers: MarkerInput) -> None:
    read = read_markers(template_csv(markers).encode(), markers)
    assert (read.tumours, read.problems) == (["example-scc", "example-ac"], [])
    assert not np.isnan(read.rpm).any()
