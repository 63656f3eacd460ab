"""Squamous-cell carcinoma and adenocarcinoma, drawn."""

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from cervix.slides.drawn.look import Look
from cervix.slides.drawn.patterns import Mask, at, border_distance, mixed, pixel_grid, scattered_points, smooth_field
from cervix.slides.drawn.sheet import Sheet, on_ellipse
from cervix.slides.drawn.stains import Density
from cervix.slides.drawn.stroma import Stroma, draw_stroma_cells


def squamous_carcinoma(rng: np.random.Generator, look: Look, inside: Mask) -> Density:
    """Nests of crowded, uneven cells with visible borders and keratin pearls, in stroma with lymphocytes."""
    shape = inside.shape
    stroma = Stroma(rng, shape)
    septa = np.abs(smooth_field(rng, shape, 75)) - 0.07
    nest_depth = np.minimum(smooth_field(rng, shape, 60) + 1.4, 6 * septa) + 0.2 * smooth_field(rng, shape, 14)
    nest = nest_depth > 0
    cells = scattered_points(rng, shape, 20 / np.sqrt(look.crowding), room_px=40)
    x_px, y_px = pixel_grid(shape)
    borders = border_distance(cells, x_px + 3 * smooth_field(rng, shape, 8), y_px + 3 * smooth_field(rng, shape, 8))
    between = np.exp(-((borders / 2.2) ** 2))
    haematoxylin = (0.19 + 0.025 * smooth_field(rng, shape, 24)) * (1 - 0.8 * look.border_pallor * between)
    # Towards the middle of a nest cells keratinise.
    keratin = 0.06 * np.clip(nest_depth - 0.6, 0, 1)
    eosin = (0.11 + keratin + 0.02 * smooth_field(rng, shape, 18)) * (1 - 0.5 * look.border_pallor * between)
    soft = gaussian_filter(nest.astype(np.float32), 1.5)
    sheet = Sheet(mixed(stroma.haematoxylin, haematoxylin, soft), mixed(stroma.eosin, eosin, soft), inside, rng, look)
    draw_stroma_cells(sheet, ~nest, stroma.angle, fibroblasts_px=20, inflamed=1.6)
    flow = np.arctan2(smooth_field(rng, shape, 34), smooth_field(rng, shape, 34))
    in_nest = cells[sheet.seen(cells) & at(nest, cells)]
    angles = at(flow, in_nest)
    for (x, y), angle in zip(in_nest, angles, strict=True):
        chance = rng.random()
        if chance < 0.05:
            continue
        if chance < 0.062:
            _draw_mitosis(sheet, x, y)
            continue
        a = rng.uniform(6, 11)
        direction = float(angle) + rng.normal(0, 0.3)
        sheet.nucleus(x, y, a, a * rng.uniform(0.55, 0.88), direction, vesicular=rng.random() < 0.75)
    pearls = scattered_points(rng, shape, 300)
    for x, y in pearls[sheet.seen(pearls) & at(nest_depth > 0.7, pearls)]:
        _draw_pearl(sheet, x, y, rng.uniform(26, 46))
    return sheet.density()


def _draw_mitosis(sheet: Sheet, x: float, y: float) -> None:
    """A dividing cell: clumped chromatin on a clear ground."""
    rng = sheet.rng
    sheet.shape_at(sheet.blob(x, y, 9, 8.5, 0.0, 0.05), haematoxylin=0.08, eosin=0.09)
    angle = rng.uniform(0, np.pi)
    for _ in range(3):
        dx, dy = rng.normal(0, 1.6, 2)
        sheet.shape_at(sheet.blob(x + dx, y + dy, 6, 1.8, angle + rng.normal(0, 0.15), 0.2), haematoxylin=0.95)


def _draw_pearl(sheet: Sheet, x: float, y: float, radius: float) -> None:
    """Layers of keratin around a middle, and flattening cells around them."""
    rng = sheet.rng
    angle, flat = rng.uniform(0, np.pi), rng.uniform(0.6, 0.9)
    whole = sheet.blob(0, 0, 1, flat, angle, 0.09)
    for ring, size in enumerate(np.arange(radius * 1.35, 3, -3.2)):
        ripple = 1 + 0.03 * rng.normal(size=(len(whole), 1))
        keratin = min(1.0, 1.6 - size / radius)
        sheet.shape_at(
            whole * size * ripple + (x, y), haematoxylin=0.16 - 0.09 * keratin + 0.02 * (ring % 2),
            eosin=0.15 + 0.13 * keratin + 0.07 * (ring % 2),
        )  # fmt: skip
    for around in (radius * 0.75, radius * 1.05, radius * 1.35):
        for turn in np.arange(rng.uniform(0, 1), 2 * np.pi, 24 / around):
            if rng.random() < 0.3:
                continue
            reach = around * rng.uniform(0.93, 1.07)
            at_x, at_y, tangent = on_ellipse(x, y, reach, reach * flat, angle, turn)
            sheet.nucleus(at_x, at_y, rng.uniform(6, 9), rng.uniform(2.4, 3.6), tangent, vesicular=False)


def adenocarcinoma(rng: np.random.Generator, look: Look, inside: Mask) -> Density:
    """Irregular glands, close together, with crowded tall nuclei in several rows around narrow lumina."""
    shape = inside.shape
    stroma = Stroma(rng, shape)
    lumen = smooth_field(rng, shape, 19) > 0.85
    depth = distance_transform_edt(~lumen).astype(np.float32)
    epithelium = (depth < 28 + 3 * smooth_field(rng, shape, 12)) & ~lumen
    cells = scattered_points(rng, shape, 14, room_px=30)
    x_px, y_px = pixel_grid(shape)
    borders = border_distance(cells, x_px + 2 * smooth_field(rng, shape, 8), y_px + 2 * smooth_field(rng, shape, 8))
    between = look.border_pallor * np.exp(-((borders / 2.0) ** 2))
    soft = gaussian_filter(epithelium.astype(np.float32), 0.9)
    haematoxylin = mixed(stroma.haematoxylin, (0.25 + 0.035 * smooth_field(rng, shape, 14)) * (1 - 0.6 * between), soft)
    eosin = mixed(stroma.eosin, (0.13 + 0.03 * smooth_field(rng, shape, 10)) * (1 - 0.4 * between), soft)
    empty = 1 - 0.95 * gaussian_filter(lumen.astype(np.float32), 0.8)
    sheet = Sheet(haematoxylin * empty, eosin * empty, inside, rng, look)
    draw_stroma_cells(sheet, ~epithelium & ~lumen, stroma.angle, fibroblasts_px=20, inflamed=0.8)
    slope_y, slope_x = np.gradient(gaussian_filter(depth, 3))
    nuclei = scattered_points(rng, shape, 13 / np.sqrt(look.crowding))
    for x, y in nuclei[sheet.seen(nuclei) & at(epithelium & (depth > 6), nuclei)]:
        across = float(np.arctan2(slope_y[int(y), int(x)], slope_x[int(y), int(x)])) + rng.normal(0, 0.25)
        sheet.nucleus(x, y, rng.uniform(7, 10.5), rng.uniform(5, 7), across, darker=0.02)
    return sheet.density()
