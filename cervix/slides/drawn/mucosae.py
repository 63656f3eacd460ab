"""Normal squamous and glandular epithelium on their stroma, drawn."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from cervix.slides.drawn.look import Look
from cervix.slides.drawn.patterns import (
    Field,
    Mask,
    Points,
    at,
    border_distance,
    mixed,
    pixel_grid,
    scattered_points,
    smooth_field,
)
from cervix.slides.drawn.sheet import Sheet
from cervix.slides.drawn.stains import Density
from cervix.slides.drawn.stroma import Stroma, draw_stroma_cells

MUCOSA_PX = 520
"""Thickness of the squamous epithelium: 260 µm. In life it has 300 to 500 µm, and a small slide would not show all layers."""
GLANDS_FROM_EDGE_PX = 24
BASAL_STEP_PX = 8.5
"""Between the nuclei of a basal row: 4 µm, because they stand on end and overlap."""


def squamous_mucosa(rng: np.random.Generator, look: Look, inside: Mask) -> Density:
    """Stratified squamous epithelium that matures from a dark basal row to flat pale cells, on stroma with papillae."""
    shape = inside.shape
    width = shape[1]
    surface = _upper_edge(inside)
    thickness = MUCOSA_PX * (1 + 0.10 * _line(rng, width, 140)) + 34 * _line(rng, width, 34)
    x_px, y_px = pixel_grid(shape)
    depth = np.asarray((y_px - surface) / thickness, np.float32)
    depth += 0.004 * smooth_field(rng, shape, 7)
    # Towards the surface cells are flat: there the same depth holds more rows of them.
    flatness = _flat_depth(depth)
    layers: list[tuple[float, float, float]] = [(-0.1, 0.30, 40), (0.30, 0.66, 33), (0.66, 0.80, 24), (0.80, 0.94, 15)]
    cells, of_layer = [], []
    for index, (upper, lower, distance) in enumerate(layers):
        top, bottom = (float(_flat_depth(np.float32(value))) * MUCOSA_PX for value in (upper, lower))
        points = scattered_points(rng, (int(bottom - top) + 1, width), distance / np.sqrt(look.crowding), room_px=20)
        points = points[(points[:, 1] >= 0) & (points[:, 1] <= bottom - top)] + (0, top)
        cells.append(points)
        of_layer.append(np.full(len(points), index))
    basal = _along(rng, surface + thickness, BASAL_STEP_PX / np.sqrt(look.crowding))
    column = np.clip(basal[:, 0].astype(int), 0, width - 1)
    basal_depth = (basal[:, 1] - surface[column]) / thickness[column]
    cells.append(np.stack([basal[:, 0], _flat_depth(basal_depth) * MUCOSA_PX], axis=1))
    of_layer.append(np.full(len(basal), len(layers)))
    centres, layer = np.concatenate(cells), np.concatenate(of_layer)
    warp = 2.5 * smooth_field(rng, shape, 8)
    borders = border_distance(centres, x_px + warp, flatness * MUCOSA_PX + warp)
    membrane = np.exp(-((borders / 2.4) ** 2))
    steps = (0.0, 0.12, 0.30, 0.62, 0.80, 0.93, 1.0)
    haematoxylin = np.interp(depth, steps, (0.05, 0.045, 0.04, 0.055, 0.12, 0.20, 0.24)).astype(np.float32)
    eosin = np.interp(depth, steps, (0.24, 0.19, 0.13, 0.12, 0.13, 0.13, 0.13)).astype(np.float32)
    haematoxylin *= 1 + 0.12 * smooth_field(rng, shape, 20)
    eosin *= 1 + 0.12 * smooth_field(rng, shape, 16)
    mature = np.interp(depth, (0.6, 0.85), (1.0, 0.0)).astype(np.float32)
    eosin += 0.13 * membrane * mature * (1 - 0.5 * look.border_pallor)
    haematoxylin *= 1 - 0.8 * look.border_pallor * membrane * (1 - mature)
    stroma = Stroma(rng, shape)
    below = gaussian_filter((depth > 1.0).astype(np.float32), 1.2)
    sheet = Sheet(mixed(haematoxylin, stroma.haematoxylin, below), mixed(eosin, stroma.eosin, below), inside, rng, look)
    draw_stroma_cells(sheet, depth > 1.03, stroma.angle, fibroblasts_px=26, inflamed=1.0)
    places = _from_flat_depth(centres[:, 1] / MUCOSA_PX)
    column = np.clip(centres[:, 0].astype(int), 0, width - 1)
    y = surface[column] + places * thickness[column]
    at_place = np.stack([centres[:, 0], y], axis=1)
    slope = np.gradient(surface + thickness)[column]
    for (x_at, y_at), which, tilt, within in zip(at_place, layer, np.arctan(slope), sheet.seen(at_place), strict=True):
        if within:
            _draw_squamous_nucleus(sheet, float(x_at), float(y_at), int(which), float(tilt))
    return sheet.density()


def _draw_squamous_nucleus(sheet: Sheet, x: float, y: float, layer: int, tilt: float) -> None:
    """A nucleus of the superficial (0), intermediate (1), lower intermediate (2), parabasal (3) or basal layer (4)."""
    rng = sheet.rng
    if layer == 0:
        if rng.random() < 0.75:
            sheet.nucleus(
                x, y, rng.uniform(5, 7), rng.uniform(2.0, 2.8), tilt + rng.normal(0, 0.15), darker=0.05, vesicular=False
            )
    elif layer == 1:
        sheet.shape_at(sheet.blob(x, y, rng.uniform(9, 12), rng.uniform(6.5, 8), tilt, 0.05), haematoxylin=0.025, eosin=0.06)
        sheet.nucleus(x, y, rng.uniform(5, 6.5), rng.uniform(3.6, 4.8), tilt + rng.normal(0, 0.3))
    elif layer == 2:
        sheet.nucleus(x, y, rng.uniform(5.5, 7), rng.uniform(4.6, 5.8), rng.uniform(0, np.pi))
    elif layer == 3:
        sheet.nucleus(x, y, rng.uniform(5.5, 7), rng.uniform(4.6, 5.6), tilt + np.pi / 2 + rng.normal(0, 0.5))
    else:
        sheet.nucleus(x, y, rng.uniform(6, 7.5), rng.uniform(3.4, 4.2), tilt + np.pi / 2 + rng.normal(0, 0.15), darker=0.06)


def glandular_mucosa(rng: np.random.Generator, look: Look, inside: Mask) -> Density:
    """Round glands of one row of tall mucinous cells with small basal nuclei, in loose stroma."""
    shape = inside.shape
    x_px, y_px = pixel_grid(shape)
    middles = scattered_points(rng, shape, 150, room_px=100)
    warped = [field + 12 * smooth_field(rng, shape, 30) for field in (x_px, y_px)]
    # A gland fills its own part of the plane but for stroma of some 15 µm between it and its neighbours.
    own_part = distance_transform_edt(border_distance(middles, *warped) > 8).astype(np.float32)
    gland = gaussian_filter(own_part, 9) > 12 + 3.5 * smooth_field(rng, shape, 60)
    if not inside.all():
        gland &= distance_transform_edt(inside) > GLANDS_FROM_EDGE_PX
    depth = distance_transform_edt(gland).astype(np.float32)
    tall = 38 + 4 * smooth_field(rng, shape, 40)
    lumen = depth > tall
    # Points halfway up the epithelium part it into columns.
    walls = scattered_points(rng, shape, 12)
    walls = walls[at((depth > 12) & (depth < 26), walls)]
    borders = border_distance(walls, x_px, y_px) if len(walls) > 1 else np.full(shape, 9, np.float32)
    wall = np.exp(-((borders / 1.8) ** 2)) * (depth < tall)
    up = np.clip(depth / tall, 0, 1)
    mucin = np.clip((up - 0.38) / 0.15, 0, 1) * (1 - np.clip((up - 0.9) / 0.06, 0, 1))
    haematoxylin = np.asarray(0.15 - 0.10 * mucin + 0.05 * wall + 0.012 * smooth_field(rng, shape, 6), np.float32)
    eosin = np.asarray(0.13 - 0.10 * mucin + 0.10 * wall + 0.012 * smooth_field(rng, shape, 6), np.float32)
    stroma = Stroma(rng, shape, looseness=0.8)
    soft = gaussian_filter(gland.astype(np.float32), 0.8)
    empty = 1 - 0.6 * gaussian_filter(lumen.astype(np.float32), 0.8)
    sheet = Sheet(
        mixed(stroma.haematoxylin, haematoxylin, soft) * empty, mixed(stroma.eosin, eosin, soft) * empty, inside, rng, look
    )
    draw_stroma_cells(sheet, ~gland, stroma.angle, fibroblasts_px=19, inflamed=1.5)
    slope_y, slope_x = np.gradient(gaussian_filter(depth, 3))
    nuclei = scattered_points(rng, shape, 9.0 / np.sqrt(look.crowding))
    for x, y in nuclei[sheet.seen(nuclei) & at((depth > 5) & (depth < 13), nuclei)]:
        across = float(np.arctan2(slope_y[int(y), int(x)], slope_x[int(y), int(x)])) + rng.normal(0, 0.2)
        sheet.nucleus(x, y, rng.uniform(5.5, 7), rng.uniform(3.6, 4.6), across, darker=0.02, vesicular=rng.random() < 0.5)
    return sheet.density()


def _line(rng: np.random.Generator, length: int, sigma_px: float) -> NDArray[np.float64]:
    """Smooth noise along a line: ``(length,)``, mean 0, standard deviation 1."""
    values = gaussian_filter(rng.normal(size=length + 800), sigma_px)
    return np.asarray(((values - values.mean()) / values.std())[400:-400], np.float64)


def _upper_edge(inside: Mask) -> NDArray[np.float64]:
    """The row of the uppermost pixel of each column ``(width,)``, smoothed; columns without any take their neighbours'."""
    columns = np.flatnonzero(inside.any(axis=0))
    if not len(columns):
        return np.zeros(inside.shape[1])
    rows = np.interp(np.arange(inside.shape[1]), columns, inside.argmax(axis=0)[columns])
    return np.asarray(gaussian_filter(rows, 3), np.float64)


# Rows of cells per depth: three times as many at the surface as below the middle.
_DEPTHS = np.linspace(-0.2, 1.6, 361)
_ROWS = np.concatenate([[0.0], np.cumsum(np.interp(_DEPTHS, (0.0, 0.55), (3.0, 1.0)))[:-1]]) * (_DEPTHS[1] - _DEPTHS[0])
_ROWS -= np.interp(0.0, _DEPTHS, _ROWS)


def _along(rng: np.random.Generator, line: NDArray[np.float64], step_px: float) -> Points:
    """Two rows of points ``(n, 2)`` above a line ``(width,)`` of y per x, as far apart along it however steep it is."""
    slope = np.gradient(line)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(1, slope))[:-1]])
    rows = []
    for above, step in ((8.0, step_px), (20.0, 1.4 * step_px)):
        places = np.arange(rng.uniform(0, step), length[-1], step)
        x = np.interp(places + rng.normal(0, 0.12 * step, len(places)), length, np.arange(len(line)))
        tilt = np.arctan(np.interp(x, np.arange(len(line)), slope))
        offset = above + rng.normal(0, 1.8, len(x))
        y = np.interp(x, np.arange(len(line)), line)
        rows.append(np.stack([x + np.sin(tilt) * offset, y - np.cos(tilt) * offset], axis=1))
    return np.concatenate(rows)


def _flat_depth(depth: NDArray[np.floating] | np.float32) -> Field:
    """Rows of cells above a depth, both as shares of the epithelium's thickness where cells are not flat."""
    return np.asarray(np.interp(depth, _DEPTHS, _ROWS), np.float32)


def _from_flat_depth(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The depth of that many rows."""
    return np.asarray(np.interp(rows, _ROWS, _DEPTHS), np.float64)
