"""How the level-0 plane of a slide lies on the pixels of its file, and on what QuPath shows of it."""

import math
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Box = tuple[float, float, float, float]
Places = TypeVar("Places", float, NDArray[np.float64])


class FileRegion(NamedTuple):
    """What to read of a file for a rectangle of the plane.

    ``box`` is the rectangle within what was read: left, top, right, bottom in pixels of the level.
    """

    corner_file_px: tuple[int, int]
    size_px: tuple[int, int]
    box: Box


class FilePlane(BaseModel):
    """From level-0 pixels, which are square here, to the pixels of the file and back.

    A file whose pixels are square has one file pixel per level-0 pixel. Of a file whose pixels are not, level 0 is a plane
    of square pixels as fine as the finer side. A scanner may say that only a part of its level 0 was scanned (OpenSlide's
    ``openslide.bounds-*``); QuPath shows that part alone and counts from its corner.
    """

    model_config = ConfigDict(frozen=True)

    bounds_x_px: int
    bounds_y_px: int
    """Upper left corner of the scanned part, in pixels of the file."""
    bounds_width_px: int
    bounds_height_px: int
    file_px_per_l0_px_x: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    file_px_per_l0_px_y: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @property
    def square(self) -> bool:
        """Whether a level-0 pixel is a pixel of the file."""
        return self.file_px_per_l0_px_x == self.file_px_per_l0_px_y == 1.0

    @property
    def bounds_l0_px(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the scanned part on level 0."""
        across, down = self.file_px_per_l0_px_x, self.file_px_per_l0_px_y
        left, top = math.ceil(self.bounds_x_px / across), math.ceil(self.bounds_y_px / down)
        right = math.floor((self.bounds_x_px + self.bounds_width_px) / across)
        bottom = math.floor((self.bounds_y_px + self.bounds_height_px) / down)
        return left, top, right - left, bottom - top

    def to_file_px(self, x_l0_px: Places, y_l0_px: Places) -> tuple[Places, Places]:
        """A place, or ``(n,)`` places, on level 0 in pixels of the file, as OpenSlide counts them."""
        return x_l0_px * self.file_px_per_l0_px_x, y_l0_px * self.file_px_per_l0_px_y

    def to_qupath_px(self, x_l0_px: Places, y_l0_px: Places) -> tuple[Places, Places]:
        """A place, or ``(n,)`` places, on level 0 in QuPath's pixels: the file's, from the corner of the scanned part."""
        x, y = self.to_file_px(x_l0_px, y_l0_px)
        return x - self.bounds_x_px, y - self.bounds_y_px

    def from_qupath_px(self, x_px: float, y_px: float) -> tuple[float, float]:
        """A place in QuPath's pixels on level 0."""
        return (x_px + self.bounds_x_px) / self.file_px_per_l0_px_x, (y_px + self.bounds_y_px) / self.file_px_per_l0_px_y

    def region(self, x_l0_px: int, y_l0_px: int, downsample: float, width_px: int, height_px: int) -> FileRegion:
        """What to read for a rectangle whose corner is in level-0 pixels and whose size in pixels of a level."""
        if self.square:
            return FileRegion((x_l0_px, y_l0_px), (width_px, height_px), (0, 0, width_px, height_px))
        left, top = self.to_file_px(x_l0_px, y_l0_px)
        corner = math.floor(left), math.floor(top)
        before_x, before_y = (left - corner[0]) / downsample, (top - corner[1]) / downsample
        right, bottom = before_x + width_px * self.file_px_per_l0_px_x, before_y + height_px * self.file_px_per_l0_px_y
        return FileRegion(corner, (math.ceil(right), math.ceil(bottom)), (before_x, before_y, right, bottom))
