"""Find tissue: stained pixels on glass."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, label, median_filter
from skimage.filters import threshold_otsu
from skimage.morphology import remove_small_objects

from cervix.errors import TileNotReadable
from cervix.sources.damage import UNREAD_SHARE_AT_MOST, too_damaged
from cervix.sources.slide import Box, Slide, image_array

# Fine enough to outline glands and stroma, coarse enough for a slide to be read in a moment; 8 µm is 1/14 of a tile.
MASK_SPACING_UM_PX = 8.0
MASK_LONGEST_PX = 4096
# Otsu (1979) finds a limit even where there is only glass, so it is held where stain can be: below 0.06 lies
# the tint of glass and JPEG noise, above 0.25 even pale eosin.
SATURATION_LIMITS = (0.06, 0.25)
BLACK_BELOW = 30
SPECK_UM = 50.0
OVERVIEW_PX = 640
OUTLINE_RGB = (0, 114, 178)
# Saturation in 0..255 of a pixel, by its brightest channel and by how much darker its darkest one is.
_brightest, _spread = np.mgrid[0:256, 0:256]
SATURATION_OF = np.round(255.0 * np.minimum(_spread, _brightest) / np.maximum(_brightest, 1)).astype(np.uint8)


@dataclass(frozen=True)
class TissueMask:
    """Where tissue lies.

    Attributes
    ----------
    mask : (height, width) bool
    l0_px_per_mask_px : float
    saturation_threshold : float
        In 0..1, as used.
    overview : Image
        The slide as it was looked at, at most ``OVERVIEW_PX`` wide or high: a slide without a pyramid is read once.
    unread : (height, width) bool
        Where the overview could not be read. That may be tissue, so tiles are laid there too; it is not tissue area.
    """

    mask: NDArray[np.bool_]
    l0_px_per_mask_px: float
    saturation_threshold: float
    overview: Image.Image
    unread: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((1, 1), np.bool_))

    def area_mm2(self, spacing_um_px: float) -> float:
        """Tissue area in square millimetres."""
        return float(self.mask.sum() * (self.l0_px_per_mask_px * spacing_um_px / 1000.0) ** 2)

    def fraction_in(
        self,
        x_l0_px: NDArray[np.integer],
        y_l0_px: NDArray[np.integer],
        width_l0_px: NDArray[np.integer] | int,
        height_l0_px: NDArray[np.integer] | int | None = None,
    ) -> NDArray[np.float64]:
        """Share of tissue, or of what could not be read, in rectangles (by default squares) with these corners ``(n,)``."""
        sums = np.pad((self.mask | self.unread).cumsum(axis=0, dtype=np.int64).cumsum(axis=1), ((1, 0), (1, 0)))
        height, width = self.mask.shape
        scale = self.l0_px_per_mask_px
        height_l0_px = width_l0_px if height_l0_px is None else height_l0_px
        left = np.clip(np.round(x_l0_px / scale).astype(int), 0, width - 1)
        top = np.clip(np.round(y_l0_px / scale).astype(int), 0, height - 1)
        right = np.clip(np.round((x_l0_px + width_l0_px) / scale).astype(int), left + 1, width)
        bottom = np.clip(np.round((y_l0_px + height_l0_px) / scale).astype(int), top + 1, height)
        inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return np.asarray(inside / ((right - left) * (bottom - top)), np.float64)


def find_tissue(slide: Slide) -> TissueMask:
    """Threshold the colour saturation of an overview (Otsu within the limits of stain), without specks.

    H&E colours tissue while glass stays grey, so saturation separates the two better than brightness. Pixels
    darker than ink or a scanner's black border are not tissue.

    Raises
    ------
    SlideDamaged
        Where more than ``UNREAD_SHARE_AT_MOST`` of the slide cannot be read.
    SlideNotReadable
    """
    spacing = slide.spacing_um_px or slide.suggested_spacing_um_px
    longest = max(slide.width_l0_px, slide.height_l0_px)
    overview, scale, unread = _looked_at(slide, max(MASK_SPACING_UM_PX / spacing, longest / MASK_LONGEST_PX))
    pixels = image_array(overview)
    brightest = pixels.max(axis=2)
    # In 255 steps, as the picture itself: a gigapixel slide has an overview of 16 megapixels, and floats would cost 64 MB each.
    saturation = SATURATION_OF[brightest, brightest - pixels.min(axis=2)]
    saturation = median_filter(saturation, size=3)
    # The histogram of Pillow is much the faster; places in grey are few, and as grey as glass.
    counts = np.array(Image.fromarray(saturation).histogram())
    varied = np.count_nonzero(counts) > 1
    otsu = threshold_otsu(hist=(counts, np.arange(256))) / 255.0 if varied else 1.0
    threshold = float(np.clip(otsu, *SATURATION_LIMITS)) if varied else 1.0
    mask = (saturation > threshold * 255.0) & (brightest > BLACK_BELOW) & ~unread
    speck_px = int((SPECK_UM / (spacing * scale)) ** 2)
    if speck_px > 1:
        mask = _without_specks(mask, speck_px)
    # A small slide is looked at in more detail than its tissue needs.
    picture = overview if max(overview.size) >= OVERVIEW_PX else slide.overview(longest / OVERVIEW_PX)[0]
    picture.thumbnail((OVERVIEW_PX, OVERVIEW_PX))
    return TissueMask(mask, scale, threshold, picture, unread)


def _looked_at(slide: Slide, downsample: float) -> tuple[Image.Image, float, NDArray[np.bool_]]:
    """The slide reduced, by how much, and which of its pixels could not be read; ``SlideDamaged`` where they are too many."""
    holes: list[Box] = []
    try:
        overview, scale = slide.overview(downsample, holes_l0_px=holes)
    except TileNotReadable as error:
        raise too_damaged(slide.path, "area", error.found) from error
    unread = _covered(holes, scale, (overview.height, overview.width))
    # A single tile of the file is borne, unless it is all there is.
    if unread.all() or (len(holes) > 1 and unread.mean() > UNREAD_SHARE_AT_MOST):
        raise too_damaged(slide.path, "area", f"{unread.mean():.0%} that cannot be read")
    return overview, scale, unread


def _covered(holes_l0_px: list[Box], scale: float, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of an overview ``(height, width)`` that any of the holes touches."""
    covered = np.zeros(shape, np.bool_)
    for left, top, right, bottom in holes_l0_px:
        covered[int(top / scale) : int(np.ceil(bottom / scale)), int(left / scale) : int(np.ceil(right / scale))] = True
    return covered


def _without_specks(mask: NDArray[np.bool_], speck_px: int) -> NDArray[np.bool_]:
    """The mask without pieces of at most ``speck_px``. What the border cuts off is half seen: there half of that is enough."""
    kept = remove_small_objects(mask, max_size=speck_px)
    cut_off, _ = label(mask)
    at_border = np.unique(np.concatenate([cut_off[0], cut_off[-1], cut_off[:, 0], cut_off[:, -1]]))
    sizes = np.bincount(cut_off.ravel())
    again = at_border[(at_border > 0) & (2 * sizes[at_border] > speck_px)]
    return np.asarray(kept | np.isin(cut_off, again), np.bool_) if len(again) else np.asarray(kept, np.bool_)


def whole_area(slide: Slide) -> TissueMask:
    """A mask that takes the whole scanned area for tissue: for scoring on request where none was found.

    Raises ``SlideDamaged`` as ``find_tissue``.
    """
    longest = max(slide.width_l0_px, slide.height_l0_px)
    scale = max(1.0, longest / MASK_LONGEST_PX)
    mask = np.zeros((round(slide.height_l0_px / scale), round(slide.width_l0_px / scale)), np.bool_)
    left, top, width, height = slide.plane.bounds_l0_px
    mask[round(top / scale) : round((top + height) / scale), round(left / scale) : round((left + width) / scale)] = True
    overview, _, _ = _looked_at(slide, longest / OVERVIEW_PX)
    overview.thumbnail((OVERVIEW_PX, OVERVIEW_PX))
    return TissueMask(mask, scale, 0.0, overview)


def outline(tissue: TissueMask) -> Image.Image:
    """The overview of a slide with the border of its tissue drawn on it."""
    size = tissue.overview.size
    inside = np.asarray(Image.fromarray(tissue.mask).resize(size, Image.Resampling.NEAREST), np.bool_)
    border = binary_dilation(inside, iterations=2) & ~inside
    pixels = image_array(tissue.overview).copy()
    pixels[border] = OUTLINE_RGB
    return Image.fromarray(pixels)
