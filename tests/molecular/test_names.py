"""One microRNA, many spellings."""

import pytest

from cervix.molecular.names import Named, is_marker_header, marker_named


@pytest.mark.parametrize(
    ("cell", "precursor", "arm"),
    [
        ("hsa-mir-205", "hsa-mir-205", ""),
        ("hsa-miR-205-5p", "hsa-mir-205", "5p"),
        ("HSA-MIR-205-3P", "hsa-mir-205", "3p"),
        ("hsa_mir_205", "hsa-mir-205", ""),
        ("hsa.mir.10a", "hsa-mir-10a", ""),
        (" hsa mir 375 ", "hsa-mir-375", ""),
        ("miR-944", "hsa-mir-944", ""),
        ("MIR944", "hsa-mir-944", ""),
        ('"hsa-let-7a-2"', "hsa-let-7a-2", ""),
        ("let-7i-5p", "hsa-let-7i", "5p"),
        ("hsa-mir-194-2", "hsa-mir-194-2", ""),
    ],
)
def test_a_name_is_known_in_any_spelling(cell: str, precursor: str, arm: str) -> None:
    assert marker_named(cell) == Named(precursor, arm)


@pytest.mark.parametrize(
    "cell", ["", "tumour", "TP53", "mmu-mir-205", "mir", "hsa-mir-", "mir-205-7p", "205", "admiral", "hsa-mir-205" * 9]
)
def test_what_is_no_microrna_of_ours_is_none(cell: str) -> None:
    assert not is_marker_header(cell)
