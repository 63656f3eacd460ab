"""The quality gate tells blur, ink, bubbles and other stains from a slide that is fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cervix.bundle import Bundle
from cervix.slides.gate import GateReport, inspect_slide
from cervix.slides.pyramid import write_pyramid
from cervix.slides.scoring import plan_slide
from cervix.sources.opening import open_slide

# Optical density of 3,3'-diaminobenzidine (Ruifrok and Johnston 2001).
DAB = np.array([0.27, 0.57, 0.78])


@pytest.fixture(scope="module")
def real(data_dir: Path) -> np.ndarray:
    slide = open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    return np.asarray(slide.read(0, 0, 0, slide.width_l0_px, slide.height_l0_px))


def looked_at(pixels: np.ndarray, bundle: Bundle, tmp_path: Path) -> GateReport:
    write_pyramid(tmp_path / "slide.tiff", np.ascontiguousarray(pixels), 0.5)
    slide = open_slide(tmp_path / "slide.tiff")
    return inspect_slide(slide, plan_slide(slide, bundle))


def test_a_real_he_slide_passes(real: np.ndarray, bundle: Bundle, tmp_path: Path) -> None:
    report = looked_at(real, bundle, tmp_path)
    assert (report.warnings, report.wrong_stain) == ([], "")
    assert 0.2 < report.tissue_share < 0.5


def test_a_slide_out_of_focus_is_said(real: np.ndarray, bundle: Bundle, tmp_path: Path) -> None:
    blurred = np.asarray(Image.fromarray(real).filter(ImageFilter.GaussianBlur(6)))
    assert "out of focus" in looked_at(blurred, bundle, tmp_path).warnings[0]


def test_pen_marks_are_said(real: np.ndarray, bundle: Bundle, tmp_path: Path) -> None:
    marked = (real * np.array([0.25, 0.75, 0.3])).astype(np.uint8)
    assert any("pen marks" in warning for warning in looked_at(marked, bundle, tmp_path).warnings)


def test_a_brown_and_a_grey_stain_are_not_he(real: np.ndarray, bundle: Bundle, tmp_path: Path) -> None:
    density = -np.log10((real.astype(float) + 1) / 256).mean(axis=2, keepdims=True)
    brown = np.clip(256 * 10 ** (-2 * density * DAB), 0, 255).astype(np.uint8)
    assert "brown" in looked_at(brown, bundle, tmp_path).wrong_stain


def test_a_blue_stain_is_not_he(real: np.ndarray, bundle: Bundle, tmp_path: Path) -> None:
    assert "blue stains" in looked_at(real[..., [1, 0, 2]], bundle, tmp_path).wrong_stain


def test_little_tissue_is_said() -> None:
    report = GateReport(64, 0.0, 0.0, 0.0, 0.5, 0.4, 0.5)
    assert replace(report, tissue_share=0.004).warnings == ["Only 0.4% of the slide is tissue."]
