"""``python -m benchmarks api-fuzz --minutes N``: calls made up from the description of the scoring API, thrown at it."""

import os
import secrets
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

ROUND = 60
"""Right and wrong calls an operation and round; each round has a seed of its own."""
TABLE = b"patient_id,visit_date,age,cytology\na,2020-05-01,30,NILM\n"


def api_fuzz(minutes: float, seed: int) -> pd.DataFrame:
    """Throw calls until the time is up; the table counts the answers by operation and status.

    Ends with the failure that schemathesis tells at the first answer that is not as described.
    """
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region
    from cervix.slides.pyramid import write_pyramid
    from tests.api.fuzzing import fuzz
    from tests.bundle.made import write_bundle

    until = time.monotonic() + minutes * 60
    token, seen = secrets.token_hex(32), Counter[str]()
    with TemporaryDirectory(prefix="api-fuzz-") as folder:
        os.environ |= {
            "CERVIX_HOME": f"{folder}/home",
            "CERVIX_BUNDLE_DIR": str(write_bundle(Path(folder) / "bundle")),
            "CERVIX_DEVICE": "cpu",
            "CERVIX_OFFLINE": "1",
            "CERVIX_API_TOKENS": token,
            "CERVIX_API_OPEN": "1",
        }
        from cervix.api import api_routes

        program = TestClient(Starlette(routes=api_routes), headers={"Authorization": f"Bearer {token}"})
        slide = Path(folder) / "slide.tiff"
        write_pyramid(slide, phantom_region(1400, 1100, seed=11), PHANTOM_SPACING_UM_PX)
        sent = {"Content-Type": "application/octet-stream", "Upload-Name": "slide.tiff"}
        scored = program.post("/api/v1/slides", content=slide.read_bytes(), headers=sent).json()["id"]
        while time.monotonic() < until:
            answer = program.post("/api/v1/patients", content=TABLE, headers={"Content-Type": "text/csv"})
            jobs = [scored, answer.json()["job"]]
            seen += fuzz(token, examples=ROUND, start=seed, jobs=jobs, goes_on=lambda: time.monotonic() < until)
            seed += 1
    rows = [{"operation": label.rsplit(" ", 1)[0], "status": label.rsplit(" ", 1)[1], "calls": n} for label, n in seen.items()]
    return pd.DataFrame(rows).sort_values(["operation", "status"])
