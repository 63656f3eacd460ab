"""A DICOM series is read as the slide it was converted from, whatever its encoding."""

from pathlib import Path

import numpy as np
import pytest

from cervix.sources.identity import files_of, slides_in
from cervix.sources.opening import open_slide


def test_a_series_is_one_slide_like_its_source(cmu_dicom: Path, data_dir: Path) -> None:
    (path,) = slides_in(cmu_dicom)
    slide, source = open_slide(path), open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    assert len(files_of(path)) == len(slide.level_downsamples) == 5
    assert (slide.width_l0_px, slide.height_l0_px) == (source.width_l0_px, source.height_l0_px)
    assert slide.spacing_um_px == source.spacing_um_px
    assert np.array_equal(np.asarray(slide.overview(1.0)[0]), np.asarray(source.overview(1.0)[0]))
    assert slide.overview(8.0)[1] == pytest.approx(8.0, rel=0.01), "its smaller levels are used, to their last frame"
