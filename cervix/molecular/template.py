"""A table to fill in: the model's markers as columns, and an example of each class."""

import csv
import io

from cervix.bundle.manifest import MarkerInput

MEDIAN = 2


def template_csv(markers: MarkerInput) -> str:
    """A CSV with the model's markers and, as examples, the median tumour of each class: medians of markers, no patient."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["tumour", *markers.names])
    for label in markers.encoding[0].cohort:
        writer.writerow([f"example-{label}", *(f"{marker.cohort[label][MEDIAN]:g}" for marker in markers.encoding)])
    return text.getvalue()
