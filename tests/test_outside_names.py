"""A name from outside is a plain relative name, or it is refused; nothing is repaired."""

import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cervix.errors import NameRefused
from cervix.outside_names import inside, is_litter, safe_name


@pytest.mark.parametrize(
    "name",
    [
        "slide.svs",
        "DOE^JANE 1970-01-01.svs",
        "ward 7/Präparat (2).mrxs",
        "病理/切片.svs",
        "a\\b.svs",
        "😀.svs",
        "..x/1.png",
        "-rf",
        "~",
    ],
)
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert safe_name(name) == PurePosixPath(name.replace("\\", "/"))


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "...", " ", "a/", "/a", "//a", "a//b", "a/./b", "d/J/../../X", "..\\X", "\\\\server\\share",
        "C:\\X", "C:X", "X:stream", "con", "CON.svs", "nul .txt", "aux", "com1.svs", "LPT9", "COM¹", "conout$",
        "a.", "a ", "a. .", "..\u00a0",
        "..／X", "a＼b", "‥", "a/‥/b", "…", "．．", "a：b", "℀", "X\0.svs", "X\n.svs", "X\x7f", "X\u2028Y", "\ud800.svs",
        "X\u202esvs.exe", "x" * 256, "é" * 128, "a/" * 20 + "b", "x/" * 5 + "y" * 1020,
    ],
)  # fmt: skip
def test_what_leads_elsewhere_or_is_not_plain_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(NameRefused) as refused:
        safe_name(name)
    assert not name.strip() or len(name) < 4 or name not in str(refused.value)
    with pytest.raises(NameRefused):
        inside(tmp_path, name)


def test_twins_of_one_name_stay_two() -> None:
    twins = [unicodedata.normalize(form, "é.svs") for form in ("NFC", "NFD")]
    assert len({safe_name(name) for name in twins}) == 2


def test_a_folder_that_is_a_link_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    with pytest.raises(NameRefused, match="link"):
        inside(tmp_path / "in", "link/x")
    assert inside(tmp_path / "in", "a/x") == tmp_path / "in/a/x"


@settings(max_examples=500, deadline=None)
@given(
    st.text(st.characters(), max_size=60) | st.lists(st.sampled_from(["..", ".", "a", "/", "\\", "‥", "C:", "\0"])).map("".join)
)
@example("a/../../b")
def test_any_text_is_a_place_within_the_folder_or_refused(name: str) -> None:
    folder = Path("/somewhere/of/ours")
    try:
        path = inside(folder, name)
    except NameRefused:
        return
    assert path.is_relative_to(folder)
    assert path != folder
    assert ".." not in path.parts


@pytest.mark.parametrize(
    "name",
    ["__MACOSX/._a.svs", "x/__MACOSX/a", "._a.svs", ".DS_Store", "a/.hidden/b.svs", "a/Thumbs.db", "Desktop.ini", "a\\._b"],
)
def test_what_systems_put_there_is_litter(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize("name", ["a.svs", "..", ".", "", "../.x", ".x/../../y", "..x/1.png", "__MACOSX", "thumbs.dbx"])
def test_what_people_meant_or_what_leads_out_is_not(name: str) -> None:
    assert not is_litter(name)
