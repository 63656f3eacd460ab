"""How every Plotly figure of the project looks: colours, margins, legend, hover, grounds.

Colours are Okabe and Ito's (2008, Color Universal Design), told apart with the common colour-vision deficiencies, on a light as
on a dark ground; nothing is shown by colour alone. Texts and grids have no colour here: the page gives them that of its theme.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # the colours are the card's too, which the trainer writes without Plotly
    import plotly.graph_objects as go

BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY: Final = "#767676"
"""4.5:1 on white, 3.9:1 on the dark ground of the pages."""
MARGIN: Final = {"l": 10, "r": 10, "t": 10, "b": 10}
LEGEND_BELOW: Final = {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"}
"""Under the title of the axis, its entries in rows."""
LEGEND_ABOVE: Final = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
FIGURE_HEIGHT_PX: Final = 380
CLEAR: Final = "rgba(0,0,0,0)"


def laid_out(figure: "go.Figure", height_px: int = FIGURE_HEIGHT_PX, **layout: Any) -> "go.Figure":
    """The figure with the look of all, and what is its own: the arguments of ``Figure.update_layout``.

    Parameters
    ----------
    layout : ``margin`` and ``legend`` may name only what differs from ``MARGIN`` and ``LEGEND_BELOW``
    """
    margin, legend = MARGIN | layout.pop("margin", {}), LEGEND_BELOW | layout.pop("legend", {})
    figure.update_layout(
        height=height_px,
        margin=margin,
        legend=legend,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        hoverlabel={"align": "left", "namelength": -1},
        separators=".,",
        **layout,
    )
    return figure


def error_bars(values: "list[Any]", **look: Any) -> dict[str, Any]:
    """``error_x`` or ``error_y`` of figures with intervals (``value, low, high``)."""
    return {
        "symmetric": False,
        "array": [of.high - of.value for of in values],
        "arrayminus": [of.value - of.low for of in values],
        **look,
    }
