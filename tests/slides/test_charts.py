"""Charts of a scored slide."""

import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.slides.charts import probability_histogram


def test_tiles_of_exactly_0_and_1_are_among_the_bars(four_class_bundle: Bundle) -> None:
    model = four_class_bundle.session_of("tile").model
    sure, benign = [item.role == "malignant" for item in model.classes].index(True), 0
    shares = [[float(at == of) for at in range(len(model.classes))] for of in [sure] * 30 + [benign] * 10]
    tiles = pd.DataFrame(shares, columns=[f"p_{label}" for label in model.class_ids])
    tiles = tiles.assign(x=[224 * at for at in range(len(tiles))], y=0, novelty=0.0, tissue_fraction=1.0)
    (bars,) = probability_histogram(tiles, model).data
    assert (bars.y[0], bars.y[-1]) == (10, 30)
    assert (bars.x[0], bars.x[-1]) == pytest.approx((0.025, 0.975))
