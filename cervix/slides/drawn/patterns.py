"""Random patterns that tissue is drawn from: smooth fields, scattered points, borders of cells."""

from typing import TypeVar

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
"""``(n, 2)``: x and y in pixels."""

_Value = TypeVar("_Value", bound=np.generic)

PERIOD_PX = 1024
"""Fine fields repeat after this, which no eye follows; so they cost little."""
COARSE_FROM_PX = 6.0
CANDIDATES_PER_CELL = 5
BORDERS_EVERY_PX = 2


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float, sigma_x_px: float | None = None) -> Field:
    """Gaussian noise ``shape`` of mean 0 and standard deviation 1, smoothed by ``sigma_px`` (along x by ``sigma_x_px``)."""
    sigma_x_px = sigma_px if sigma_x_px is None else sigma_x_px
    if min(sigma_px, sigma_x_px) >= COARSE_FROM_PX:
        step = int(min(sigma_px, sigma_x_px) // 3)
        small = (shape[0] // step + 2, shape[1] // step + 2)
        # Room of three sigma, so that opposite borders do not agree.
        room = tuple(int(size + 3 * sigma / step) for size, sigma in zip(small, (sigma_px, sigma_x_px), strict=True))
        field = _periodic(rng, (room[0], room[1]), sigma_px / step, sigma_x_px / step)[: small[0], : small[1]]
        return _enlarged(field, step, shape)
    side = _periodic(rng, (PERIOD_PX, PERIOD_PX), sigma_px, sigma_x_px)
    repeats = (-(-shape[0] // PERIOD_PX), -(-shape[1] // PERIOD_PX))
    return np.tile(side, repeats)[: shape[0], : shape[1]]


def _periodic(rng: np.random.Generator, shape: tuple[int, int], sigma: float, sigma_x: float) -> Field:
    spectrum = scipy.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    across = np.exp(-2 * np.pi**2 * sigma**2 * np.fft.fftfreq(shape[0]) ** 2)
    along = np.exp(-2 * np.pi**2 * sigma_x**2 * np.fft.rfftfreq(shape[1]) ** 2)
    field = scipy.fft.irfft2(spectrum * np.outer(across, along).astype(np.float32), s=shape)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def scattered_points(rng: np.random.Generator, shape: tuple[int, int], distance_px: float, room_px: float = 0.0) -> Points:
    """Points ``(n, 2)`` x and y at random, none nearer to another than ``distance_px``.

    They fill ``(height, width)`` and ``room_px`` around it. Darts are thrown one after another and stick where no other is
    near (Cook 1986, ACM Trans Graph 5:51-72); all at once, by who came first.
    """
    height, width = shape[0] + 2 * room_px, shape[1] + 2 * room_px
    darts = rng.uniform(0, 1, (int(CANDIDATES_PER_CELL * height * width / distance_px**2) + 1, 2)) * (width, height) - room_px
    near = cKDTree(darts).query_pairs(distance_px, output_type="ndarray")
    first, second = near.min(axis=1), near.max(axis=1)
    waiting, stuck = np.ones(len(darts), bool), np.zeros(len(darts), bool)
    while waiting.any():
        both = waiting[first] & waiting[second]
        first, second = first[both], second[both]
        sticks = waiting.copy()
        sticks[second] = False
        stuck |= sticks
        waiting &= ~sticks
        waiting[second[sticks[first]]] = False
    return np.asarray(darts[stuck], np.float64)


def border_distance(centres: Points, x_px: Field, y_px: Field) -> Field:
    """How much farther each pixel is from the second nearest centre than from the nearest: 0 on the border of two cells.

    ``x_px`` and ``y_px`` ``(height, width)`` are where each pixel lies among the centres, so a caller may warp cells. Looked
    at every ``BORDERS_EVERY_PX`` and interpolated.
    """
    step = BORDERS_EVERY_PX
    places = np.stack([x_px[::step, ::step], y_px[::step, ::step]], axis=-1)
    found = cKDTree(centres).query(places.reshape(-1, 2), k=2)[0].astype(np.float32)
    coarse = (found[:, 1] - found[:, 0]).reshape(places.shape[:2])
    return _enlarged(coarse, step, (x_px.shape[0], x_px.shape[1]))


def _enlarged(field: Field, times: int, shape: tuple[int, int]) -> Field:
    height, width = field.shape
    image = Image.fromarray(np.ascontiguousarray(field)).resize((width * times, height * times), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)[: shape[0], : shape[1]]


def pixel_grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    """x and y of every pixel, each ``(height, width)``."""
    y_px, x_px = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return x_px, y_px


def at(field: NDArray[_Value], points: Points) -> NDArray[_Value]:
    """The values of a field at points ``(n, 2)``; points outside take the nearest value."""
    x = np.clip(points[:, 0].astype(int), 0, field.shape[1] - 1)
    y = np.clip(points[:, 1].astype(int), 0, field.shape[0] - 1)
    found: NDArray[_Value] = field[y, x]
    return found


def mixed(ground: Field, other: Field, share: NDArray[np.floating]) -> Field:
    """``ground`` where ``share`` is 0, ``other`` where it is 1: ``(height, width)``."""
    return np.asarray(ground + (other - ground) * share, np.float32)
