"""The words that laboratories use for each code of the visit table (``codes``): one table, each row with its source.

Nothing else turns a word into a code. A word that could mean two codes is not in it: the cell then counts as not known and
the woman is marked. Words are compared folded (``visit_vocabulary.folded``): without case, accents, spaces and joints.
"""

from dataclasses import dataclass
from typing import Final

BETHESDA: Final = "Nayar R, Wilbur DC (eds), The Bethesda System for Reporting Cervical Cytology, 3rd ed., Springer 2015"
MUNICH: Final = "Münchner Nomenklatur III (Griesser H et al., Frauenarzt 2013;54:1042-1048)"
LAST: Final = "Darragh TM et al., LAST project, J Low Genit Tract Dis 2012;16:205-242; CIN grades as Richart named them"
FRENCH: Final = "Bethesda terms as French laboratories report them"
SPANISH: Final = "Bethesda terms as Spanish-speaking laboratories report them"
GERMAN: Final = "German words for the same, beside the nomenclature"
ONCLARITY: Final = "groups of types that BD Onclarity reports: P1 33 58, P2 56 59 66, P3 35 39 68"
DUAL_STAIN: Final = "Clarke MA et al., J Low Genit Tract Dis 2024;28:124-130, and how laboratories report CINtec PLUS Cytology"
IARC: Final = "Bouvard V et al., Lancet Oncol 2009;10:321-322 (IARC volume 100B)"
USAGE: Final = "spellings met in exports; no published list"

RESULTS: Final = ("hpv_result", "hpv_16", "hpv_18", "hpv_other_hr", "via", "dual_stain")
ANSWERS: Final = ("hiv", "immunosuppressed", "pregnant", "hpv_vaccinated", "smoker")


@dataclass(frozen=True)
class Words:
    """What one code is called.

    Attributes
    ----------
    columns : tuple of str
        Of the visit table.
    spellings : tuple of str
    note : str
        What the reader of a file should know where such a word is met; mostly empty.
    """

    columns: tuple[str, ...]
    code: str
    spellings: tuple[str, ...]
    source: str
    note: str = ""


def _words(columns: str | tuple[str, ...], code: str, spellings: str, source: str, note: str = "") -> Words:
    names = (columns,) if isinstance(columns, str) else columns
    return Words(names, code, tuple(part.strip() for part in spellings.split(";")), source, note)


WORDS: Final[tuple[Words, ...]] = (
    # Cytology, English
    _words("cytology", "UNSAT", "unsatisfactory; unsatisfactory for evaluation; inadequate", BETHESDA),
    _words("cytology", "NILM", "negative for intraepithelial lesion or malignancy; negative for intraepithelial lesion; "
           "negative for intraepithelial lesion and malignancy", BETHESDA),
    _words("cytology", "NILM", "normal; negative; neg; within normal limits; wnl; benign", USAGE),
    _words("cytology", "ASC-US", "atypical squamous cells of undetermined significance; "
           "atypical squamous cells undetermined significance", BETHESDA),
    _words("cytology", "ASC-H", "atypical squamous cells cannot exclude HSIL; atypical squamous cells cannot exclude "
           "high-grade squamous intraepithelial lesion; atypical squamous cells cannot rule out HSIL; "
           "atypical squamous cells cannot exclude high-grade", BETHESDA),
    _words("cytology", "LSIL", "low-grade squamous intraepithelial lesion", BETHESDA),
    _words("cytology", "LSIL", "LGSIL; low grade; low grade SIL", USAGE),
    _words("cytology", "HSIL", "high-grade squamous intraepithelial lesion", BETHESDA),
    _words("cytology", "HSIL", "HGSIL; high grade; high grade SIL", USAGE),
    _words("cytology", "SCC", "squamous cell carcinoma", BETHESDA),
    _words("cytology", "AGC", "atypical glandular cells; atypical glandular cells not otherwise specified; AGC-NOS; AGUS; "
           "atypical endocervical cells; atypical endometrial cells", BETHESDA),
    _words("cytology", "AGC-FN", "AGC-favour neoplastic; AGC-favor neoplastic; atypical glandular cells favour neoplastic; "
           "atypical glandular cells favor neoplastic; atypical endocervical cells favor neoplastic", BETHESDA),
    _words("cytology", "AIS", "adenocarcinoma in situ; endocervical adenocarcinoma in situ", BETHESDA),
    _words("cytology", "ADC", "adenocarcinoma; endocervical adenocarcinoma; adeno; adenoca", BETHESDA),
    # Cytology, German. The groups II, III, IIID, IV and V without a letter are those of older nomenclatures: not read.
    _words("cytology", "UNSAT", "0", MUNICH),
    _words("cytology", "NILM", "I; II-a", MUNICH),
    _words("cytology", "NILM", "II-e", MUNICH, "II-e, endometrial cells after the age of 40, is read as NILM."),
    _words("cytology", "ASC-US", "II-p", MUNICH),
    _words("cytology", "AGC", "II-g", MUNICH),
    _words("cytology", "ASC-H", "III-p", MUNICH),
    _words("cytology", "AGC-FN", "III-g", MUNICH),
    _words("cytology", "AGC", "III-e; III-x", MUNICH, "III-e and III-x, glandular cells of the endometrium or of unknown "
           "origin, are read as AGC."),
    _words("cytology", "LSIL", "III D1", MUNICH),
    _words("cytology", "HSIL", "III D2; IVa-p; IVb-p", MUNICH),
    _words("cytology", "AIS", "IVa-g; IVb-g", MUNICH),
    _words("cytology", "SCC", "V-p", MUNICH),
    _words("cytology", "ADC", "V-g", MUNICH),
    _words("cytology", "ADC", "V-e; V-x", MUNICH, "V-e and V-x, a malignancy of the endometrium or of another kind, are read "
           "as ADC: the nearest code there is."),
    _words("cytology", "NILM", "unauffällig", GERMAN),
    _words("cytology", "SCC", "Plattenepithelkarzinom", GERMAN),
    _words("cytology", "ADC", "Adenokarzinom", GERMAN),
    # Cytology, French and Spanish
    _words("cytology", "UNSAT", "non satisfaisant; ininterprétable", FRENCH),
    _words("cytology", "NILM", "frottis normal; négatif; absence de lésion; négatif pour lésion intraépithéliale ou maligne; "
           "absence de lésion intraépithéliale ou maligne", FRENCH),
    _words("cytology", "ASC-US", "atypies des cellules malpighiennes de signification indéterminée; "
           "cellules malpighiennes atypiques de signification indéterminée", FRENCH),
    _words("cytology", "ASC-H", "cellules malpighiennes atypiques ne permettant pas d'exclure une lésion de haut grade; "
           "atypies des cellules malpighiennes ne permettant pas d'exclure une lésion de haut grade", FRENCH),
    _words("cytology", "LSIL", "lésion intraépithéliale de bas grade; lésion malpighienne intraépithéliale de bas grade; "
           "bas grade", FRENCH),
    _words("cytology", "LSIL", "LIEBG", f"{FRENCH}; {SPANISH}"),
    _words("cytology", "HSIL", "LIEHG; lésion intraépithéliale de haut grade; "
           "lésion malpighienne intraépithéliale de haut grade; haut grade", FRENCH),
    _words("cytology", "SCC", "carcinome épidermoïde; carcinome malpighien", FRENCH),
    _words("cytology", "AGC", "atypies des cellules glandulaires; cellules glandulaires atypiques", FRENCH),
    _words("cytology", "AIS", "adénocarcinome in situ", FRENCH),
    _words("cytology", "ADC", "adénocarcinome", FRENCH),
    _words("cytology", "UNSAT", "insatisfactoria; insatisfactorio; no satisfactoria", SPANISH),
    _words("cytology", "NILM", "negativo; negativo para lesión intraepitelial; negativa para lesión intraepitelial; "
           "negativo para lesión intraepitelial o malignidad; negativa para lesión intraepitelial o malignidad", SPANISH),
    _words("cytology", "ASC-US", "células escamosas atípicas de significado indeterminado; "
           "atipia de células escamosas de significado indeterminado", SPANISH),
    _words("cytology", "ASC-H", "células escamosas atípicas no se puede descartar lesión de alto grado; células escamosas "
           "atípicas no se puede excluir HSIL; células escamosas atípicas no se puede descartar HSIL", SPANISH),
    _words("cytology", "LSIL", "lesión intraepitelial escamosa de bajo grado; lesión intraepitelial de bajo grado; bajo grado",
           SPANISH),
    _words("cytology", "HSIL", "LIEAG; lesión intraepitelial escamosa de alto grado; lesión intraepitelial de alto grado; "
           "alto grado", SPANISH),
    _words("cytology", "SCC", "carcinoma de células escamosas; carcinoma epidermoide; carcinoma escamocelular", SPANISH),
    _words("cytology", "AGC", "células glandulares atípicas", SPANISH),
    # HPV tests, VIA, dual stain
    _words(RESULTS, "positive", "pos; +; 1; 1.0; detected; reactive; present; yes; true", USAGE),
    _words(RESULTS, "negative", "neg; 0; 0.0; not detected; none detected; non detected; undetected; non-reactive; "
           "not reactive; absent; not present; no; false", USAGE),
    _words(RESULTS, "positive", "positiv; nachgewiesen", GERMAN),
    _words(RESULTS, "negative", "negativ; nicht nachgewiesen", GERMAN),
    _words(RESULTS, "positive", "positif; détecté; présent", FRENCH),
    _words(RESULTS, "negative", "négatif; non détecté", FRENCH),
    _words(RESULTS, "positive", "positivo; positiva; detectado; presente; reactivo", SPANISH),
    _words(RESULTS, "negative", "negativo; negativa; no detectado; ausente; no reactivo", SPANISH),
    _words("hpv_result", "invalid", "indeterminate; inconclusive; equivocal; failed; ungültig; invalide; inválido", USAGE),
    # p16/Ki-67 dual stain. p16 alone is another test, of tissue: not read.
    _words("dual_stain", "positive", "dual-stained cells; dual-stained cells present; dual-stained cells detected; "
           "p16+/Ki-67+; co-expression; co-expression of p16 and Ki-67; DS positive", DUAL_STAIN),
    _words("dual_stain", "negative", "no dual-stained cells; no dual-stained cells detected; dual-stained cells absent; "
           "dual-stained cells not detected; no co-expression; no co-expression of p16 and Ki-67; DS negative", DUAL_STAIN),
    _words("dual_stain", "inconclusive", "indeterminate; equivocal; invalid; unsatisfactory; not evaluable; insufficient",
           DUAL_STAIN),
    _words("dual_stain", "positive", "doppelt positive Zellen; doppelt gefärbte Zellen; Koexpression; "
           "Koexpression nachgewiesen; Koexpression von p16 und Ki-67", GERMAN),
    _words("dual_stain", "negative", "keine doppelt positiven Zellen; keine doppelt gefärbten Zellen; keine Koexpression; "
           "keine Koexpression von p16 und Ki-67; Koexpression nicht nachgewiesen", GERMAN),
    _words("dual_stain", "inconclusive", "nicht beurteilbar; nicht auswertbar; ungültig", GERMAN),
    _words("dual_stain", "positive", "présence de cellules double-marquées; présence de cellules doublement marquées; "
           "présence de cellules co-exprimant p16 et Ki-67", FRENCH),
    _words("dual_stain", "negative", "absence de cellules double-marquées; absence de cellules doublement marquées; "
           "absence de cellules co-exprimant p16 et Ki-67", FRENCH),
    _words("dual_stain", "inconclusive", "non concluant; ininterprétable; invalide", FRENCH),
    _words("dual_stain", "positive", "presencia de células con doble tinción; células con doble tinción; "
           "coexpresión de p16 y Ki-67", SPANISH),
    _words("dual_stain", "negative", "ausencia de células con doble tinción; sin células con doble tinción; "
           "sin coexpresión de p16 y Ki-67", SPANISH),
    _words("dual_stain", "inconclusive", "no concluyente; no valorable; no evaluable; inválido; indeterminado", SPANISH),
    # Colposcopy
    _words("colposcopy", "low-grade", "low; grade 1; minor", USAGE),
    _words("colposcopy", "high-grade", "high; grade 2; major", USAGE),
    _words("colposcopy", "suspicious", "suspicious for invasion; cancer", USAGE),
    _words("colposcopy", "inadequate", "unsatisfactory", USAGE),
    # Histology
    _words("histology", "benign", "normal; negative; no dysplasia; NILM; cervicitis; chronic cervicitis", USAGE),
    _words("histology", "CIN1", "CIN I; LSIL; low grade; mild dysplasia; low-grade squamous intraepithelial lesion; "
           "cervical intraepithelial neoplasia grade 1", LAST),
    _words("histology", "CIN2", "CIN II; moderate dysplasia; cervical intraepithelial neoplasia grade 2", LAST),
    _words("histology", "CIN3", "CIN III; CIS; severe dysplasia; squamous cell carcinoma in situ; "
           "cervical intraepithelial neoplasia grade 3", LAST),
    _words("histology", "HSIL", "high grade; CIN2/3; CIN 2-3; high-grade squamous intraepithelial lesion", LAST),
    _words("histology", "AIS", "adenocarcinoma in situ", LAST),
    _words("histology", "SCC", "squamous cell carcinoma; invasive squamous cell carcinoma; carcinoma", LAST),
    _words("histology", "ADC", "adenocarcinoma; invasive adenocarcinoma", LAST),
    _words("histology", "adenosquamous", "adenosquamous carcinoma", LAST),
    _words("histology", "benign", "benigne; gutartig; unauffällig; bénin; benigno; négatif; negativo; negativ", USAGE),
    _words("histology", "SCC", "Plattenepithelkarzinom; carcinome épidermoïde; carcinoma epidermoide", USAGE),
    _words("histology", "ADC", "Adenokarzinom; adénocarcinome", USAGE),
    _words("histology", "CIN1", "NIC 1; NIC I", SPANISH),
    _words("histology", "CIN2", "NIC 2; NIC II", SPANISH),
    _words("histology", "CIN3", "NIC 3; NIC III", SPANISH),
    # Treatment
    _words("treatment", "none", "no; untreated; no treatment; keine; aucun; ninguno", USAGE),
    _words("treatment", "ablation", "cryotherapy; cryo; laser; thermal ablation", USAGE),
    _words("treatment", "LEEP", "LLETZ; LETZ; loop", USAGE),
    _words("treatment", "cone", "conisation; conization; cold knife; CKC; NETZ; Konisation; conización", USAGE),
    _words("treatment", "hysterectomy", "TAH; Hysterektomie; hystérectomie; histerectomía", USAGE),
    # Answers
    _words(ANSWERS, "yes", "y; true; 1; 1.0; ja; oui; sí", USAGE),
    _words(ANSWERS, "no", "n; false; 0; 0.0; nein; non", USAGE),
    _words("hiv", "yes", "positive; pos; positiv; reactive; +", USAGE),
    _words("hiv", "no", "negative; neg; negativ; non-reactive", USAGE),
    _words("smoker", "yes", "current; current smoker; smoker", USAGE),
    _words("smoker", "no", "never; never smoker; non-smoker", USAGE),
    _words("hpv_vaccinated", "yes", "vaccinated", USAGE),
    _words("hpv_vaccinated", "no", "unvaccinated; not vaccinated", USAGE),
)  # fmt: skip

# Said of a cell of any column: nobody looked, or nobody knows. A lone minus is not done (see ``visits``).
NOT_KNOWN: Final = (
    "", "?", ".", "na", "n/a", "n.a.", "nan", "nat", "null", "none", "<na>", "unknown", "not known", "not done", "n.d.",
    "not performed", "not tested", "not available", "not applicable", "missing", "pending", "unbekannt", "nicht durchgeführt",
    "nicht untersucht", "keine angabe", "k.a.", "inconnu", "non fait", "desconocido", "no realizado",
)  # fmt: skip
MINUS: Final = "-"

# Said around a result and saying nothing about it.
FILLERS: Final[dict[str, str]] = {
    "cytology": r"\bpap(?:\s+smear)?\b",
    **dict.fromkeys(
        RESULTS, r"\b(?:(?:for|risk|high|hr|hpv|vph|hrhpv|dna|rna|mrna|hochrisiko|alto riesgo|haut risque)\b(?:\s+|-(?=\w))*)+"
    ),
    # Not of p16 alone, which is another test.
    "dual_stain": r"\b(?:cintec\s*plus(?:\s+cytology)?|p16(?:ink4a)?\s*[/+&]?\s*ki-?67|(?:dual|double)[-\s]?stain(?:ing)?|"
    r"doppelfärbung|double[-\s]marquage|doble\s+tinci[óo]n)(?!\w)[\s:-]*",
    "histology": r"\b(?:biopsy|histology)\b",
}

# Alone these answer; beside a filler they may say that there was no test ("no HPV").
BARE_ANSWERS: Final = ("yes", "no", "true", "false", "0", "1", "0.0", "1.0")

HIGH_RISK: Final = ("16", "18", "31", "33", "35", "39", "45", "51", "52", "56", "58", "59", "66", "68")
POSSIBLY_HIGH_RISK: Final = ("26", "53", "73", "82")
LOW_RISK: Final = ("6", "11", "40", "42", "43", "44", "54", "61", "70", "72", "81")
TYPE_GROUPS: Final[dict[str, tuple[str, ...]]] = {"p1": ("33", "58"), "p2": ("56", "59", "66"), "p3": ("35", "39", "68")}
OTHER_HIGH_RISK: Final = ("other hr", "other high risk", "12 other hr", "12 other high risk", "hr other", "other hr types")

HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "patient_id": (),
    "visit_date": ("date", "visit", "date of visit", "screening date", "visitdate", "Untersuchungsdatum", "Besuchsdatum",
                   "Entnahmedatum", "date de visite", "date du prélèvement", "fecha", "fecha de visita"),
    "age": ("age at visit", "age years", "Alter", "âge", "edad"),
    "hpv_genotypes": ("genotypes", "hpv types", "hpv genotype", "HPV-Typen", "génotypes", "genotipos"),
    "slide": ("slide sha256", "slide file"),
    "cytology": ("citology", "pap", "pap smear", "pap result", "cytology result", "Zytologie", "Zytologiebefund", "cytologie",
                 "citología"),
    "hpv_result": ("hpv", "hr hpv", "hrhpv", "hpv test", "HPV-Ergebnis", "HPV-Befund", "test HPV", "VPH", "prueba VPH"),
    "hpv_16": ("hpv16", "VPH 16"), "hpv_18": ("hpv18", "VPH 18"), "hpv_other_hr": ("hpv other", "other hr hpv"),
    "histology": ("biopsy", "biopsy result", "histology result", "Histologie", "Histologiebefund", "histología", "biopsie"),
    "dual_stain": ("dual stain result", "dual stained cytology", "p16/Ki-67", "p16/Ki-67 dual stain", "CINtec PLUS",
                   "CINtec PLUS Cytology", "Doppelfärbung", "p16/Ki-67-Doppelfärbung", "double marquage",
                   "double marquage p16/Ki-67", "doble tinción", "doble tinción p16/Ki-67"),
    "colposcopy": ("colposcopic impression", "Kolposkopie", "colposcopie", "colposcopia"),
    "via": (), "treatment": ("procedure", "Therapie", "Behandlung", "traitement", "tratamiento"),
    "hiv": ("hiv status",), "immunosuppressed": ("immunosuppression", "immunsupprimiert"),
    "pregnant": ("pregnancy", "schwanger", "enceinte", "embarazada"),
    "hpv_vaccinated": ("vaccinated", "hpv vaccine", "HPV-Impfung"), "smoker": ("smokes", "smoking", "Raucherin", "fumeuse"),
}  # fmt: skip
PATIENT_HEADERS: Final = (
    "patient_id",
    "patient id",
    "patientid",
    "patient",
    "id",
    "pseudonym",
    "Patientennummer",
    "Patienten-ID",
)

# The first letters of a month's name, enough to tell it; English, then German, French and Spanish where they differ.
MONTHS: Final[dict[str, int]] = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
    "mrz": 3, "mai": 5, "okt": 10, "dez": 12, "fev": 2, "avr": 4, "juin": 6, "juil": 7, "aou": 8, "ene": 1, "abr": 4, "ago": 8,
    "dic": 12,
}  # fmt: skip

# A first cell that says that a row sums up others.
SUMMARIES: Final = (
    "mean", "average", "avg", "median", "total", "grand total", "sum", "std", "standard deviation", "count", "Mittelwert",
    "Durchschnitt", "Summe", "Gesamt", "moyenne", "somme", "media", "promedio", "suma",
)  # fmt: skip
