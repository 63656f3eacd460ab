"""TCGA's open tables of molecular measurements: cervical tumours, and lung tumours of the same assay.

Every row is one patient's primary tumour unless its sample code says otherwise. No barcode leaves this module: a patient is
called by a number that is drawn anew.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import CervixError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]

TUMOUR, METASTASIS, NORMAL = "01", "06", "11"
"""TCGA's codes of a sample (https://gdc.cancer.gov/resources-tcga-users/tcga-code-tables/sample-type-codes)."""
SAMPLE_CODE, PATIENT_CODE = slice(13, 15), slice(0, 12)
GLANDULAR, SQUAMOUS, ADENOSQUAMOUS = "glandular", "squamous", "adenosquamous"
ONE_OF_SEVERAL_PLACES = re.compile(r"-\d+$")
"""``hsa-mir-194-2``: one of several places in the genome with one mature product, which a table of mature names cannot tell."""
FILES = ("cesc_clinical.csv", "cesc_mirna_rpm.csv.gz", "lung_luad_mirna_rpm.csv.gz", "lung_lusc_mirna_rpm.csv.gz")
GENES = "cesc_gene_by_case.csv.gz"


class MolecularDataMissing(CervixError, OSError, code="molecular-data-missing"):
    """Raised when the tables that the molecular model is made from are not in the folder."""


@dataclass(frozen=True)
class Cohort:
    """Cervical tumours that the model may learn from, and what it is only shown.

    Attributes
    ----------
    patients : (n,) barcodes, to join other tables by; never written
    cases : (n,) drawn names, ``T001``
    markers : (m,) names of precursors
    rpm : (n, m) reads per million
    glandular : (n,) whether, the others are squamous
    hospitals : (n,) tissue source site
    hpv : (n,) type found first, ``none`` where none was
    ages : (n,) years, NaN where not known
    histology : (n,) the word of the pathology report
    others : what is not learned from -> rpm (k, m): ``adenosquamous``, ``metastasis``, ``normal``
    """

    patients: Texts
    cases: Texts
    markers: Texts
    rpm: Floats
    glandular: Bools
    hospitals: Texts
    hpv: Texts
    ages: Floats
    histology: Texts
    others: dict[str, Floats]


@dataclass(frozen=True)
class Lung:
    """Lung samples of the same assay.

    Attributes
    ----------
    rpm : (n, m) reads per million; NaN for a marker that is not in both tables, since what is missing would tell the diagnosis
    adenocarcinoma : (n,) whether, the others are squamous; of normal tissue, the table that it came in
    normal, older_machine : (n,)
    both_tables_have : (m,) the markers that stand in both
    """

    rpm: Floats
    adenocarcinoma: Bools
    normal: Bools
    older_machine: Bools
    both_tables_have: Bools


def load_cohort(folder: Path, seed: int) -> Cohort:
    """The cervical tables.

    Adenosquamous tumours are of both kinds by definition, so that neither answer would be right: they are left out of fitting
    and shown beside it. So are metastases and normal tissue.

    Raises
    ------
    MolecularDataMissing
    """
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise MolecularDataMissing(
            "The tables of molecular measurements are not in the folder", expected=", ".join(FILES),
            found=f"without {', '.join(missing)}", action="Name their folder with --omics.",
        )  # fmt: skip
    table = pd.read_csv(folder / FILES[1])
    clinical = pd.read_csv(folder / FILES[0]).set_index("patient")
    markers = [name for name in table.columns.astype(str) if name.startswith("hsa-")]
    code = table["barcode"].str[SAMPLE_CODE]
    tumours = table[code == TUMOUR]
    about = clinical.loc[tumours["patient"]]
    kind = about["label"].to_numpy(str)
    fitted = np.isin(kind, (GLANDULAR, SQUAMOUS))
    rpm = tumours[markers].to_numpy(np.float64)
    of = about[fitted]
    order = np.random.default_rng(seed).permutation(len(of))
    return Cohort(
        patients=of.index.to_numpy(str),
        cases=np.array([f"T{number + 1:03d}" for number in order]),
        markers=np.array(markers),
        rpm=rpm[fitted],
        glandular=kind[fitted] == GLANDULAR,
        hospitals=of["tss"].to_numpy(str),
        hpv=of["hpv_call_1"].fillna("none").to_numpy(str),
        ages=of["age"].to_numpy(np.float64),
        histology=of["histological_type"].to_numpy(str),
        others={
            ADENOSQUAMOUS: rpm[kind == ADENOSQUAMOUS],
            "metastasis": table.loc[code == METASTASIS, markers].to_numpy(np.float64),
            "normal": table.loc[code == NORMAL, markers].to_numpy(np.float64),
        },
    )


def load_lung(folder: Path, markers: Texts) -> Lung:
    """The two lung tables, with the columns of the cervical one."""
    adeno, squamous = (pd.read_csv(folder / name) for name in FILES[2:])
    both = pd.concat([adeno, squamous], ignore_index=True)
    code = both["barcode"].str[SAMPLE_CODE]
    kept = code.isin((TUMOUR, NORMAL)).to_numpy()
    shared = np.array([name in adeno and name in squamous for name in markers])
    return Lung(
        rpm=np.where(shared, both.reindex(columns=list(markers)).to_numpy(np.float64), np.nan)[kept],
        adenocarcinoma=(np.arange(len(both)) < len(adeno))[kept],
        normal=(code == NORMAL).to_numpy()[kept],
        older_machine=both["machine"].str.contains("Genome Analyzer").to_numpy(bool)[kept],
        both_tables_have=shared,
    )


def of_one_place(markers: Texts) -> Bools:
    """Which precursors come from one place in the genome alone, ``(m,)``: those that tables of mature names can tell too."""
    return np.array(
        [ONE_OF_SEVERAL_PLACES.search(name.removeprefix("hsa-mir-").removeprefix("hsa-")) is None for name in markers]
    )


def load_mutations(folder: Path, cohort: Cohort, genes: list[str]) -> Floats:
    """Non-silent mutations of genes in the same patients ``(n, genes)``: 1 or 0, NaN where a tumour was not sequenced.

    ``KeyError`` for a gene that the table, of genes hit in six patients or more, does not have.
    """
    table = pd.read_csv(folder / GENES, usecols=["patient", *genes]).set_index("patient")
    return np.asarray(table[genes].reindex(cohort.patients).to_numpy(np.float64), np.float64)


def load_rivals(folder: Path, cohort: Cohort) -> dict[str, Floats]:
    """Other measurements of the same patients -> ``(n, k)``, a row all NaN where a patient has none."""
    proteins = pd.read_csv(folder / "cesc_rppa.csv.gz").drop_duplicates("bcr_patient_barcode")
    code = proteins["bcr_patient_barcode"]
    proteins = proteins[code.str[SAMPLE_CODE] == TUMOUR].set_index(code.str[PATIENT_CODE])
    arms = pd.read_csv(folder / "cesc_arm_level.csv.gz").drop_duplicates("patient").set_index("patient")
    genes = pd.read_csv(folder / GENES).set_index("patient")
    a_visitor_would_name = [name for name in ("TP53", "PIK3CA", "PTEN", "KRAS", "ERBB2", "ARID1A", "STK11") if name in genes]
    panel = genes[a_visitor_would_name].reindex(cohort.patients).to_numpy(np.float64)
    types = np.stack([cohort.hpv == name for name in ("hpv16", "hpv18", "hpv45", "none")], axis=1).astype(np.float64)
    age = np.where(np.isnan(cohort.ages), np.nanmedian(cohort.ages), cohort.ages)
    return {
        "proteins": _numbers(proteins, cohort.patients),
        "arm-level": _numbers(arms.loc[:, [name for name in arms if re.fullmatch(r"\d+[pq]|\d+", str(name))]], cohort.patients),
        "mutations-hpv-age": np.column_stack([panel, types, age]),
    }


def _numbers(table: pd.DataFrame, patients: Texts) -> Floats:
    numbers = table.select_dtypes("number").reindex(patients).to_numpy(np.float64)
    measured = ~np.isnan(numbers).all(axis=1)
    usual = np.nanmedian(numbers[measured], axis=0)
    return np.asarray(np.where(measured[:, None] & np.isnan(numbers), usual, numbers), np.float64)
