"""The four tissues that can be drawn: both carcinomas of a cervix and both of its normal epithelia.

One pixel is 0.5 µm. Sizes are of ordinary histology: nuclei of 5 to 10 µm, red cells of 7.5 µm.
"""

from collections.abc import Callable

import numpy as np

from cervix.slides.drawn.carcinomas import adenocarcinoma, squamous_carcinoma
from cervix.slides.drawn.look import Look
from cervix.slides.drawn.mucosae import glandular_mucosa, squamous_mucosa
from cervix.slides.drawn.patterns import Mask
from cervix.slides.drawn.stains import Density

Tissue = Callable[[np.random.Generator, Look, Mask], Density]
"""Draws a tissue where the mask ``(height, width)`` holds, its free surface along the mask's upper edge."""
TISSUES: dict[str, Tissue] = {
    "squamous-carcinoma": squamous_carcinoma,
    "adenocarcinoma": adenocarcinoma,
    "squamous-mucosa": squamous_mucosa,
    "glandular-mucosa": glandular_mucosa,
}
"""By the names under which their looks stand in the table of settings."""
