"""A small cohort of made-up histories in which risk is plain, so that training takes seconds."""

from pathlib import Path

import numpy as np
import pandas as pd

YEARS = tuple(
    f"{known}{kind}years_to_{grade}" for known in ("", "tested_") for kind in ("", "found_") for grade in ("cin2", "cin3")
)
NAMES = ["age", "cytology_squamous", "cytology_glandular", "hpv", "colposcopy", "histology", "treatment"]


def write_small_cohort(folder: Path, women: int, seed: int = 0) -> None:
    """``visits.csv`` and ``latent.csv`` as the simulation writes them; persistent HPV leads to disease."""
    rng = np.random.default_rng(seed)
    visits, latent = [], []
    for number in range(women):
        risky = rng.random() < 0.3
        count = int(rng.integers(1, 7))
        start = 2000 + int(rng.integers(0, 8))
        to_cin2 = max(float(rng.uniform(-1.5, 6)), 0.0) if risky and rng.random() < 0.6 else np.inf
        to_cin3 = to_cin2 + max(float(rng.uniform(-1, 4)), 0.0) if np.isfinite(to_cin2) else np.inf
        for visit in range(count):
            left = (count - 1 - visit) * 2.0
            positive = risky and rng.random() < 0.9
            abnormal = positive and rng.random() < 0.5
            biopsy = str(rng.choice(["CIN2", "CIN1"])) if abnormal and rng.random() < 0.6 and visit < count - 1 else ""
            visits.append(
                {
                    "patient_id": f"S{number:05d}", "visit_date": f"{start + 2 * visit}-03-01", "age": 30 + 2 * visit,
                    "cytology": "HSIL" if abnormal else "NILM", "hpv_result": "positive" if positive else "negative",
                    "colposcopy": "", "histology": biopsy, "treatment": "LEEP" if biopsy == "CIN2" else "",
                }
            )  # fmt: skip
            latent.append(
                {
                    "patient_id": f"S{number:05d}", "visit_date": f"{start + 2 * visit}-03-01",
                    "state_at_visit": "CIN2" if biopsy == "CIN2" or (biopsy and rng.random() < 0.2) else "no infection",
                    "glandular_at_visit": "yes" if rng.random() < 0.1 else "no",
                    "state": "infection" if positive else "no infection", "infected": "yes" if positive else "no",
                    "glandular": "no", "woman": f"0-{number}", "turn": 0, "weight": 1.0,
                    **{name: (to_cin2 if name.endswith("cin2") else to_cin3) + left for name in YEARS},
                    "observed_years": (8.0 if rng.random() < 0.95 else float(rng.uniform(0, 5))) + left,
                }
            )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(visits).to_csv(folder / "visits.csv", index=False)
    pd.DataFrame(latent).to_csv(folder / "latent.csv", index=False)
