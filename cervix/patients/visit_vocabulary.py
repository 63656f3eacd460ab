"""The columns of the visit table, one row a visit: what a cell or header means.

The codes are in ``codes``, the words for them in ``words``.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from cervix.patients.codes import CODES, Code, Coded
from cervix.patients.words import BARE_ANSWERS, FILLERS, HEADERS, MINUS, NOT_KNOWN, RESULTS, SUMMARIES, WORDS

VISIT_DATE, AGE, GENOTYPES, SLIDE = "visit_date", "age", "hpv_genotypes", "slide"
AGE_LOW, AGE_HIGH = 10.0, 110.0
LONGEST_ID, LONGEST_CELL = 100, 200
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | dict.fromkeys("’'`´", ""))


def folded(text: str) -> str:
    """A header or cell without the case, accents, spaces and joints in which spellings differ; a sign alone stays a sign."""
    plain = unicodedata.normalize("NFKD", text.strip().casefold()).translate(_DASHES)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    # Dots of abbreviations go, those of numbers stay.
    plain = re.sub(r"(?<=[^\W\d])\.|[,;:]", " ", plain).strip()
    return re.sub(r"(?<=\w)[\s_\-/()]+(?=\w)|[\s_()]+", "", plain)


_DIGIT = re.compile(r"\d")
_NOT_KNOWN = {folded(word) for word in NOT_KNOWN}
_SUMMARIES = {folded(word) for word in SUMMARIES}


def says_nothing(text: str) -> bool:
    """Whether a cell says that nobody looked or knows."""
    return folded(text[:LONGEST_CELL]) in _NOT_KNOWN


def sums_up(text: str) -> bool:
    """Whether the first cell of a row says that the row sums up others and is nobody's."""
    # Pseudonyms mostly hold a digit, such words never: of many patients few are looked at closely.
    return len(text) < LONGEST_ID and _DIGIT.search(text) is None and folded(text) in _SUMMARIES


@dataclass(frozen=True)
class CodeColumn:
    """A column that holds one of a few codes.

    Attributes
    ----------
    entries : tuple of Code
        The codes with all that is known of each.
    spellings : mapping
        Folded spelling -> code, the codes themselves included.
    """

    name: str
    label: str
    entries: tuple[Code, ...]
    spellings: Mapping[str, str]

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Names of the codes, in order."""
        return tuple(entry.name for entry in self.entries)

    def entry(self, code: str) -> Code:
        """The code of that name."""
        return self.entries[self.codes.index(code)]

    @property
    def accepted(self) -> str:
        """What a cell may hold, in words."""
        return f"{', '.join(self.codes)}, or empty or ? for not done or not known"

    def key_of(self, text: str) -> str:
        """A cell folded, without the words that say nothing about the result (``Pap``, ``HPV test``)."""
        filler = FILLERS.get(self.name)
        key = folded(re.sub(filler, " ", text, flags=re.IGNORECASE)) if filler else ""
        unsaid = not key or (key in BARE_ANSWERS and self.name in RESULTS)
        return folded(text) if unsaid else key

    def code_of(self, text: str) -> str | None:
        """The code a cell means; None where it means none, or more than one."""
        if code := self.spellings.get(folded(text), self.spellings.get(self.key_of(text))):
            return code
        # "Negative for intraepithelial lesion or malignancy (NILM)" says one thing twice.
        twice = re.fullmatch(r"(.+?)\s*\((.+)\)|(.+?)\s+[-–:]\s+(.+)", text.strip())
        if twice is None:
            return None
        first, second = (part for part in twice.groups() if part is not None)
        codes = {self.spellings.get(self.key_of(first)), self.spellings.get(self.key_of(second))}
        return codes.pop() if len(codes) == 1 else None

    def is_minus(self, text: str) -> bool:
        """Whether a cell is a lone minus sign, which may mean negative or not done."""
        return self.key_of(text) == MINUS


def _column(name: str, coded: Coded) -> CodeColumn:
    spellings = {folded(code.name): code.name for code in coded.codes}
    for words in WORDS:
        if name in words.columns:
            spellings |= {folded(spelling): words.code for spelling in words.spellings}
    return CodeColumn(name, coded.label, coded.codes, spellings)


CODE_COLUMNS: tuple[CodeColumn, ...] = tuple(_column(name, coded) for name, coded in CODES.items())
VISIT_COLUMNS: dict[str, CodeColumn] = {column.name: column for column in CODE_COLUMNS}
_BY_HEADER = {
    folded(spelling): name for name, others in HEADERS.items() if name != "patient_id" for spelling in (name, *others)
}
_NOTES = {
    (column, folded(spelling)): words.note
    for words in WORDS if words.note for column in words.columns for spelling in words.spellings
}  # fmt: skip


def note_of(column: CodeColumn, text: str) -> str:
    """What the reader of a file should know about a word in it; mostly empty."""
    return _NOTES.get((column.name, column.key_of(text)), "")


# Headers that name a person. Such a column is warned of and never kept.
_IDENTIFYING = re.compile(
    r"\bnames?\b|surname|forename|birth|\bdob\b|address|street|postcode|\bzip\b|phone|mobile|e-?mail|passport|"
    r"social.?security|\bssn\b|national.?id|insurance|geburt|vorname|nachname|familienname|telefon|adresse|versichert|"
    r"\bnom\b|pr[ée]nom|naissance|apellido|\bnombre\b|nacimiento|direcci[óo]n|tel[ée]fono",
    re.IGNORECASE,
)
_IDENTIFYING_VALUE = re.compile(r"\d{3}-\d{2}-\d{4}|[^@\s]+@[^@\s]+\.[a-z]{2,}", re.IGNORECASE)
# Two words or more of letters alone, as "Maria Schmidt" or "Schmidt, Maria".
_NAME = re.compile(r"[^\W\d_]{2,}(?:[-'’][^\W\d_]+)*(?:,?\s+|,)[^\W\d_][^\d_<>=]*")


@cache
def visit_column(header: str) -> str | None:
    """The column of the visit table that a header names; None where it names none."""
    return _BY_HEADER.get(folded(header))


def identifies(header: str) -> bool:
    """Whether a header looks like that of a name, birth date, address or number of a person."""
    return _IDENTIFYING.search(header.replace("_", " ")) is not None


def looks_identifying(value: str) -> bool:
    """Whether a whole cell looks like a social-security number, an e-mail address or a name of several words."""
    text = value[:LONGEST_ID].strip()
    return _IDENTIFYING_VALUE.fullmatch(text) is not None or _NAME.fullmatch(text) is not None
