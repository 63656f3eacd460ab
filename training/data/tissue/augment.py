"""Changes to a tile that keep its class: rotation, scale, position, stain, colour, focus, compression."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.color import hed_from_rgb, lab2rgb, rgb2lab, rgb_from_hed

Tile = NDArray[np.uint8]
# Transmission whose optical density is the unit, as in scikit-image.
DARKEST = 1e-6
LEVELS = np.log(np.maximum(np.arange(256) / 255.0, DARKEST)) / np.log(DARKEST)
"""Optical density of each of the 256 levels of a channel."""


def augmented(tiles: Tile, settings: dict[str, Any], seed: int, magnify: NDArray[np.float64] | None = None) -> Tile:
    """One random variation of every tile; the same seed gives the same pixels.

    Parameters
    ----------
    tiles : (n, size, size, 3) uint8 RGB
    settings : the ``[augment]`` table of a recipe
        ``scale_low, scale_high, stain_gain, stain_shift, cast_share, cast_shift, cast_gain, brightness, contrast,
        blur_share, blur_px, jpeg_share, jpeg_quality_low``.
    magnify : (n,), optional
        How much larger than the model sees tissue a tile must be drawn to be at its scale; from none of that to all of it.
    """
    most = np.ones(len(tiles)) if magnify is None else np.maximum(magnify, 1.0)
    return np.stack(
        [
            _vary(tile, settings, float(factor), np.random.default_rng([seed, index]))
            for index, (tile, factor) in enumerate(zip(tiles, most, strict=True))
        ]
    )


def _vary(tile: Tile, settings: dict[str, Any], magnify: float, rng: np.random.Generator) -> Tile:
    tile = turned(tile, int(rng.integers(8)))
    scale = rng.uniform(np.log(settings["scale_low"]), np.log(settings["scale_high"] * magnify))
    tile = rescaled(tile, float(np.exp(scale)), rng.random(2))
    gain = rng.uniform(1 - settings["stain_gain"], 1 + settings["stain_gain"], 3)
    shift = rng.uniform(-settings["stain_shift"], settings["stain_shift"], 3)
    tile = restained(tile, gain, shift)
    if rng.random() < settings["cast_share"]:
        tile = recast(tile, rng.normal(0, settings["cast_shift"], 3), np.exp(rng.normal(0, settings["cast_gain"], 3)))
    tile = recoloured(
        tile,
        brightness=float(rng.uniform(1 - settings["brightness"], 1 + settings["brightness"])),
        contrast=float(rng.uniform(1 - settings["contrast"], 1 + settings["contrast"])),
    )
    if rng.random() < settings["blur_share"]:
        tile = blurred(tile, float(rng.uniform(0, settings["blur_px"])))
    if rng.random() < settings["jpeg_share"]:
        tile = recompressed(tile, int(rng.integers(settings["jpeg_quality_low"], 96)))
    return tile


def turned(tile: Tile, which: int) -> Tile:
    """One of the eight symmetries of a square: ``which`` quarter turns in 0..3, mirrored in 4..7."""
    return np.ascontiguousarray(np.rot90(tile[:, ::-1] if which >= 4 else tile, which % 4))


def rescaled(tile: Tile, factor: float, place: NDArray[np.float64] | None = None) -> Tile:
    """Magnify by ``factor`` and crop to the original size. With a factor below 1 the border is filled with mirrored tissue.

    Parameters
    ----------
    place : (2,) in 0..1, optional
        Where to crop; by default the centre.
    """
    size = tile.shape[0]
    window = size / factor
    margin = max(0, int(np.ceil((window - size) / 2)))
    padded = np.pad(tile, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    room, spare = padded.shape[0] - window, max(0.0, size - window)
    left, top = (room - spare) / 2 + spare * (np.full(2, 0.5) if place is None else place)
    box = (left, top, left + window, top + window)
    return np.asarray(Image.fromarray(padded).resize((size, size), Image.Resampling.BICUBIC, box=box))


def restained(tile: Tile, gain: NDArray[np.float64], shift: NDArray[np.float64]) -> Tile:
    """Scale and shift the amounts of haematoxylin, eosin and residual.

    Colour deconvolution of Ruifrok & Johnston 2001 (Anal Quant Cytol Histol 23:291-299), jitter as in Tellez et
    al. 2018 (doi:10.1109/TMI.2018.2820199). Amounts below zero are kept: many colours of real tiles are not a
    mixture of the three stains. Clipping them, as ``skimage.color.rgb2hed`` does, would change such tiles before any jitter.

    Parameters
    ----------
    gain, shift : (3,)
        Per stain, in the units of ``skimage.color.rgb2hed``, where nuclei of the tiles at hand have about 0.06 of
        haematoxylin.
    """
    density = LEVELS[tile]
    stains = density @ hed_from_rgb * gain + shift
    restored = np.exp(stains @ rgb_from_hed * np.log(DARKEST))
    return np.asarray(np.clip(np.round(restored * 255.0), 0, 255), np.uint8)


def recast(tile: Tile, shift: NDArray[np.float64], gain: NDArray[np.float64]) -> Tile:
    """Another mean and spread of lightness and of both colour axes, as of another laboratory's stain and white point.

    After RandStainNA (Shen et al. 2022, arXiv:2206.12694), which draws them from what was seen in the training data; here
    they are drawn around the tile's own, so that no laboratory's colours are learnt by heart.

    Parameters
    ----------
    shift, gain : (3,)
        Added to the means of L*, a* and b* (CIE 1976), and times their spreads.
    """
    lab = rgb2lab(tile.astype(np.float32) / 255.0)
    mean = lab.mean(axis=(0, 1))
    lab = (lab - mean) * gain + mean + shift
    lab[..., 0] = np.maximum(lab[..., 0], 0)
    lab[..., 2] = np.minimum(lab[..., 2], (lab[..., 0] + 16) * 200 / 116)  # beyond it no light has that colour: Z below 0
    return np.asarray(np.clip(np.round(lab2rgb(lab) * 255.0), 0, 255), np.uint8)


def recoloured(tile: Tile, *, brightness: float = 1.0, contrast: float = 1.0) -> Tile:
    """Scale about the mean of each channel (contrast), then about black (brightness)."""
    values = tile.astype(np.float32)
    mean = values.mean(axis=(0, 1))
    return np.asarray(np.clip(np.round(((values - mean) * contrast + mean) * brightness), 0, 255), np.uint8)


def blurred(tile: Tile, sigma_px: float) -> Tile:
    """Gaussian blur, like a scan out of focus."""
    return np.asarray(np.round(gaussian_filter(tile.astype(np.float32), (sigma_px, sigma_px, 0))), np.uint8)


def recompressed(tile: Tile, quality: int) -> Tile:
    """Compress as JPEG at the given quality (1..95) and decode again."""
    with io.BytesIO() as buffer:
        Image.fromarray(tile).save(buffer, "JPEG", quality=quality)
        buffer.seek(0)
        return np.asarray(Image.open(buffer).convert("RGB"))
