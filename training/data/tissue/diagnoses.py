"""From the diagnosis texts of the Genomic Data Commons to the classes of the slide model.

The texts are ICD-O-3 terms as the GDC data dictionary lists them (``diagnosis.primary_diagnosis``). Which belong together
follows the WHO classification of female genital tumours (5th edition, 2020): patterns of one carcinoma share its class;
mixed, neuroendocrine and undifferentiated carcinomas have none.
"""

import re
from collections.abc import Iterable

SCC_TERMS = (
    "Squamous cell carcinoma, NOS",
    "Squamous cell carcinoma, keratinizing, NOS",
    "Squamous cell carcinoma, nonkeratinizing, NOS",
    "Squamous cell carcinoma, large cell, keratinizing",
    "Squamous cell carcinoma, large cell, nonkeratinizing",
    "Squamous cell carcinoma, large cell, nonkeratinizing, NOS",
    "Squamous cell carcinoma, HPV-positive",
    "Squamous cell carcinoma, HPV-negative",
    "Basaloid squamous cell carcinoma",
    "Papillary squamous cell carcinoma",
    "Verrucous carcinoma, NOS",
    "Warty carcinoma",
    "Lymphoepithelial carcinoma",
)
AC_TERMS = (
    "Adenocarcinoma, NOS",
    "Adenocarcinoma, endocervical type",
    "Adenocarcinoma, HPV-associated",
    "Adenocarcinoma, HPV-independent, NOS",
    "Mucinous adenocarcinoma",
    "Mucinous adenocarcinoma, endocervical type",
    "Endometrioid adenocarcinoma, NOS",
    "Clear cell adenocarcinoma, NOS",
    "Mesonephric adenocarcinoma",
    "Mesonephroma, malignant",
)
_MIXED = "adenosquamous: both classes in one tumour"
_NEUROENDOCRINE = "neuroendocrine: another tumour"
_OTHER_CARCINOMA = "a carcinoma of neither class"
_IN_SITU = "in situ: not invasive"
# The 2020 edition has no serous carcinoma of the cervix; nearly all originate in endometrium, tube or ovary.
_SEROUS = "serous: not a primary tumour of the cervix (WHO 2020)"
OTHER_TERMS = {
    "Adenosquamous carcinoma": _MIXED,
    "Mucoepidermoid carcinoma": _MIXED,
    "Glassy cell carcinoma": _MIXED,
    "Neuroendocrine carcinoma, NOS": _NEUROENDOCRINE,
    "Small cell carcinoma, NOS": _NEUROENDOCRINE,
    "Small cell neuroendocrine carcinoma": _NEUROENDOCRINE,
    "Large cell neuroendocrine carcinoma": _NEUROENDOCRINE,
    "Squamous cell carcinoma, small cell, nonkeratinizing": "an old term that covers neuroendocrine carcinoma as well",
    "Serous carcinoma, NOS": _SEROUS,
    "Serous adenocarcinoma, NOS": _SEROUS,
    "Carcinoma, undifferentiated, NOS": _OTHER_CARCINOMA,
    "Adenoid basal carcinoma": _OTHER_CARCINOMA,
    "Adenoid cystic carcinoma": _OTHER_CARCINOMA,
    "Carcinosarcoma, NOS": _OTHER_CARCINOMA,
    "Carcinoma, NOS": "carcinoma without a type",
    "Adenocarcinoma in situ, NOS": _IN_SITU,
    "Squamous cell carcinoma in situ, NOS": _IN_SITU,
    "Cervical intraepithelial neoplasia, grade III": _IN_SITU,
}
NOT_GIVEN = ("", "Not Reported", "Unknown", "Not Allowed To Collect")
NO_DIAGNOSIS, NOT_IN_TABLE, BOTH_CLASSES = "no diagnosis", "diagnosis not in the table", "diagnoses of both classes"


def _plain(text: str) -> str:
    """Without capitals, commas and extra spaces, in which releases of the service differ."""
    return re.sub(r"[\s,]+", " ", text).strip().casefold()


_CLASS_OF = {_plain(term): "scc" for term in SCC_TERMS} | {_plain(term): "ac" for term in AC_TERMS}
_REASON_OF = {_plain(term): reason for term, reason in OTHER_TERMS.items()}
_NOT_GIVEN = {_plain(term) for term in NOT_GIVEN}


def classify(diagnoses: Iterable[str | None]) -> tuple[str, str]:
    """The class of a case, or the reason why it has none: ``("scc" | "ac", "")`` or ``("", reason)``.

    A case may have several records. Those that state nothing (none, "Not Reported", "Unknown") are ignored. All others
    must agree: a diagnosis outside the classes excludes the case, and so do two of different classes, because it is not known
    which of them is on the slide. A term must be in one of the tables; other terms are excluded, never guessed from their
    words.
    """
    terms = sorted({_plain(text) for text in diagnoses if text is not None} - _NOT_GIVEN)
    if not terms:
        return "", NO_DIAGNOSIS
    classless = [term for term in terms if term not in _CLASS_OF]
    if classless:
        return "", _REASON_OF.get(classless[0], NOT_IN_TABLE)
    classes = {_CLASS_OF[term] for term in terms}
    return (classes.pop(), "") if len(classes) == 1 else ("", BOTH_CLASSES)
