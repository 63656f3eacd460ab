"""Scores on disk are whole, or they do not count."""

import os
from pathlib import Path

from cervix.bundle import Bundle
from cervix.slides.results import TILES_NAME, load_score, save_score
from cervix.slides.scoring import SlideScore
from cervix.sources.opening import open_slide


def test_a_score_whose_tile_table_the_disk_has_spoilt_counts_as_none(
    phantom_score: SlideScore, phantom_slide: Path, bundle: Bundle, tmp_path: Path
) -> None:
    folder = save_score(tmp_path, phantom_score)
    os.truncate(folder / TILES_NAME, 100)
    assert load_score(tmp_path, open_slide(phantom_slide), bundle) is None
