"""Coded concepts of the objects: exact codes where there are any, else words under a scheme of our own."""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cervix.bundle.classes import ClassInfo

OWN_SCHEME: Final = "99CERVIX"
"""Private schemes begin with 99 (PS3.3, 8.2)."""
SCHEME: Final = CodingSchemeIdentificationItem(
    OWN_SCHEME, name="Cervix Workbench: ids of a bundle", responsible_organization="Cervix Workbench"
)
LONG_STRING_AT_MOST: Final = 64
"""Characters of names, versions and meanings (LO, PS3.5 table 6.2-1)."""
# SNOMED CT morphologies, as PS3.16 has them. Only a class with just this title means just this.
MORPHOLOGIES: Final[dict[str, Code]] = {
    "squamous-cell carcinoma": Code("1162767002", "SCT", "Squamous cell carcinoma"),
    "adenocarcinoma": Code("1187332001", "SCT", "Adenocarcinoma"),
}
ABNORMAL: Final = codes.SCT.MorphologicallyAbnormalStructure
TISSUE: Final = codes.SCT.Tissue
UNITLESS: Final = codes.UCUM.NoUnits
SQUARE_MM: Final = codes.UCUM.SquareMillimeter
TILES: Final = Code("{tiles}", "UCUM", "tiles")
AREA: Final = codes.SCT.Area
PROBABILITY_OF_CANCER: Final = Code("111047", "DCM", "Probability of cancer")


def long_string(words: str) -> str:
    """Words as a long string of DICOM: what is too long ends with an ellipsis, and a backslash would part two values."""
    plain = words.replace("\\", "/")
    return plain if len(plain) <= LONG_STRING_AT_MOST else plain[: LONG_STRING_AT_MOST - 1] + "…"


def own(value: str, meaning: str) -> CodedConcept:
    """A concept of the private scheme."""
    return CodedConcept(value, OWN_SCHEME, long_string(meaning))


def class_type(item: ClassInfo) -> CodedConcept:
    """What a class of the bundle is: its morphology where its title is that of one, else its id."""
    exact = MORPHOLOGIES.get(item.title.casefold()) if item.role == "malignant" else None
    return CodedConcept.from_code(exact) if exact else own(item.id, item.title)


def class_category(item: ClassInfo) -> CodedConcept:
    """Abnormal structure where the class is malignant, else tissue (PS3.16, CID 7150)."""
    return CodedConcept.from_code(ABNORMAL if item.role == "malignant" else TISSUE)
