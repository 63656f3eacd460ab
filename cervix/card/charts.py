"""The drawings of a card: ROC curve and reliability of a model's main question."""

import numpy as np
from numpy.typing import NDArray
from reportlab.graphics.shapes import Circle, Drawing, Polygon, PolyLine, Rect, String
from reportlab.lib import colors

from cervix.bundle import Bundle, Model
from cervix.card.asked import Asked, asked
from cervix.card.blocks import Chart, Charts
from cervix.chart_template import BLUE, GREY, VERMILLION
from cervix.evaluation.calibration import reliability
from cervix.evaluation.comparison import decimal, percent
from cervix.pdf import BOLD, FONT, INK

WIDTH_PT, HEIGHT_PT = 212.0, 240.0
LEFT, BOTTOM, SIDE = 40.0, 46.0, 160.0
MOST_POINTS = 60
FINE, SMALL = 6.5, 6.0
Floats = NDArray[np.float64]


def charts_of(bundle: Bundle, model: Model) -> Charts:
    """ROC curve and reliability of the model's main question."""
    question = asked(bundle, model)
    return Charts((_roc(model, question), _reliability(model, question)))


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most ``MOST_POINTS`` corners of a curve, ends included, at equal steps along it."""
    along = np.cumsum(np.r_[0.0, np.hypot(np.diff(x), np.diff(y))])
    wanted = np.linspace(0, along[-1], MOST_POINTS)
    kept = np.unique(np.clip(np.searchsorted(along, wanted), 0, len(x) - 1)) if len(x) > MOST_POINTS else np.arange(len(x))
    return x[kept], y[kept]


def _roc(model: Model, question: Asked) -> Chart:
    from sklearn.metrics import roc_curve

    report = question.report
    false_positive, true_positive, _ = roc_curve(question.scores.positive, question.scores.score)
    auroc, recall, specificity = (report.metrics[name] for name in ("auroc", "recall", "specificity"))
    plot = _Plot(f"AUROC {decimal(auroc)}", question, 1.0, "1 − specificity", "Sensitivity")
    plot.line([0, 1], [0, 1], GREY, dashed=True)
    plot.line(*thinned(false_positive, true_positive), BLUE)
    plot.diamond(1 - specificity.value, recall.value)
    plot.legend("Diamond: the model's threshold. Dotted: chance.")
    alt = (
        f"ROC curve of {model.title}, {question.task.title}: AUROC {decimal(auroc)}; at threshold {report.threshold:.3g} "
        f"sensitivity {percent(recall)}, specificity {percent(specificity)}; {question.size}; 95 % intervals in brackets."
    )
    return Chart(f"{model.id}-roc", alt, plot.drawing)


def _reliability(model: Model, question: Asked) -> Chart:
    scores = question.scores
    bins = reliability(scores.positive, scores.score, scores.groups)
    ece = question.report.metrics["ece"]
    top = min(1.0, 1.1 * float(max(bins["score"].max(), bins["high"].max())))
    plot = _Plot(f"Calibration error {decimal(ece)}", question, top, "Mean score", "Observed share")
    plot.line([0, top], [0, top], GREY, dashed=True)
    for score, observed, low, high in bins[["score", "observed", "low", "high"]].to_numpy(float):
        plot.line([score, score], [low, high], BLUE, width=0.8)
        plot.dot(score, observed)
    plot.legend("Bars: 95 % intervals. Dotted: score is frequency.")
    listed = ", ".join(f"{observed:.3f} at {score:.3f}" for score, observed in bins[["score", "observed"]].to_numpy(float))
    alt = (
        f"Reliability of {model.title}, {question.task.title}: observed share at mean score of {len(bins)} bins with about "
        f"equally many cases: {listed}. Calibration error {decimal(ece)}; {question.size}."
    )
    return Chart(f"{model.id}-reliability", alt, plot.drawing)


class _Plot:
    """A square of 0 to ``top`` both ways with axes, in a drawing of ``WIDTH_PT`` x ``HEIGHT_PT``."""

    def __init__(self, title: str, question: Asked, top: float, x_title: str, y_title: str) -> None:
        self.drawing = Drawing(WIDTH_PT, HEIGHT_PT)
        self._top = top
        self.drawing.add(Rect(LEFT, BOTTOM, SIDE, SIDE, fillColor=None, strokeColor=colors.HexColor(GREY), strokeWidth=0.5))
        for tick in np.linspace(0, top, 3):
            at = self._scaled(float(tick))
            label = f"{tick:.2g}"
            self._text(LEFT + at, BOTTOM - 9, label, "middle")
            self._text(LEFT - 3, BOTTOM + at - 2, label, "end")
        self._text(LEFT + SIDE / 2, BOTTOM - 18, x_title, "middle")
        self._text(4, BOTTOM + SIDE + 5, y_title, "start")
        self._text(4, 13, question.size, "start", SMALL)
        self._text(4, HEIGHT_PT - 19, question.task.title, "start")
        self._text(4, HEIGHT_PT - 9, title, "start", 7.5, BOLD)

    def line(self, x: object, y: object, colour: str, *, width: float = 1.6, dashed: bool = False) -> None:
        points = [value for pair in zip(np.asarray(x), np.asarray(y), strict=True) for value in self._at(*pair)]
        kind = {"strokeDashArray": [2, 2], "strokeWidth": 0.8} if dashed else {"strokeWidth": width}
        self.drawing.add(PolyLine(points, strokeColor=colors.HexColor(colour), **kind))

    def dot(self, x: float, y: float) -> None:
        self.drawing.add(Circle(*self._at(x, y), 2.4, fillColor=colors.HexColor(BLUE), strokeColor=None))

    def diamond(self, x: float, y: float) -> None:
        left, bottom = self._at(x, y)
        corners = [left - 4, bottom, left, bottom + 4, left + 4, bottom, left, bottom - 4]
        self.drawing.add(Polygon(corners, fillColor=colors.HexColor(VERMILLION), strokeColor=None))

    def legend(self, text: str) -> None:
        self._text(4, 4, text, "start", SMALL)

    def _scaled(self, value: float) -> float:
        return SIDE * value / self._top

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return LEFT + self._scaled(float(x)), BOTTOM + self._scaled(float(y))

    def _text(self, x: float, y: float, text: str, anchor: str, size: float = FINE, font: str = FONT) -> None:
        self.drawing.add(String(x, y, text, textAnchor=anchor, fontName=font, fontSize=size, fillColor=INK))
