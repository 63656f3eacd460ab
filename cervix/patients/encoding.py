"""What models can be fed from the two tables, as training writes it into a manifest; whether a manifest fits the readers.

The one declaration: ``codes`` for what a code weighs, ``vocabulary`` and ``visit_vocabulary`` for what a number may be. A model
is fed by the declaration in its own manifest and by nothing here.
"""

from collections.abc import Iterable
from typing import Literal

import pandas as pd

from cervix.bundle import ModelSession
from cervix.bundle.manifest import FeatureEncoding, FeatureInput
from cervix.errors import BundleError
from cervix.patients.codes import CODES, Coded
from cervix.patients.sequences import MOST_VISITS
from cervix.patients.visit_vocabulary import AGE, AGE_HIGH, AGE_LOW
from cervix.patients.vocabulary import COLUMNS, Column

OTHER_APP = "Use a bundle that was made with this version of the app, or the app that the bundle was made with."


def _of_codes(column: str, coded: Coded) -> Iterable[FeatureEncoding]:
    for at, (name, label) in enumerate(coded.features.items()):
        grades = {code.name: None if code.grades is None else code.grades[at] for code in coded.codes}
        yield FeatureEncoding(name=name, label=label, column=column, kind="code", grades=grades)


def _of_number(column: Column) -> FeatureEncoding:
    kind: Literal["yes-no", "number"] = "yes-no" if column.kind == "yes-no" else "number"
    return FeatureEncoding(
        name=column.name, label=column.label, column=column.name, kind=kind, limits=(column.low, column.high)
    )


VISIT_FEATURES: tuple[FeatureEncoding, ...] = (
    FeatureEncoding(name=AGE, label="Age (years)", column=AGE, kind="number", limits=(AGE_LOW, AGE_HIGH)),
    *(feature for column, coded in CODES.items() for feature in _of_codes(column, coded)),
)
"""Every number that a history model can be fed of a visit."""
FACTOR_FEATURES: tuple[FeatureEncoding, ...] = tuple(
    _of_number(column) for column in COLUMNS.values() if column.group != "outcome"
)
"""Every number that a risk-factor model can be fed of a row."""
RESULT_FEATURES = ("cytology_squamous", "hpv", "dual_stain", "colposcopy", "histology")
"""Those of a visit that tell whether anything was found out at it."""
_BY_NAME = {feature.name: feature for feature in (*VISIT_FEATURES, *FACTOR_FEATURES)}


def encoding_named(names: Iterable[str]) -> list[FeatureEncoding]:
    """The declaration of these inputs, in order; ``KeyError`` for a name that is none."""
    return [_BY_NAME[name] for name in names]


def features_of(session: ModelSession) -> FeatureInput:
    """What the model is fed; ``ValueError`` for a model of tiles."""
    if session.model.features is None:
        raise ValueError(f"model {session.model.id!r} reads no patient features")
    return session.model.features


def not_fed(visits: pd.DataFrame, features: FeatureInput) -> list[str]:
    """Labels of the columns with results in ``VisitTable.frame`` that the model is not fed."""
    fed = {feature.column for feature in features.encoding}
    return [coded.label for name, coded in CODES.items() if name not in fed and visits[name].notna().any()]


def require_readable(features: FeatureInput, model_id: str) -> None:
    """Raise ``BundleError`` where the readers give other columns, codes or ranges than a manifest says its model is fed from.

    A grade may differ: it is the manifest's.
    """
    one_row = features.visits == 1
    readable = {other.column: other for other in (FACTOR_FEATURES if one_row else VISIT_FEATURES)}
    for feature in features.encoding:
        known = readable.get(feature.column)
        if known is None:
            raise _other(model_id, f"a column {feature.column}", "none of that name")
        if feature.kind != known.kind or set(feature.grades) != set(known.grades):
            raise _other(model_id, f"{feature.column} as {_words(feature)}", _words(known))
        if feature.limits != known.limits:
            raise _other(model_id, f"{feature.column} within {_words(feature)}", _words(known))
    if not one_row and features.visits != MOST_VISITS:
        raise _other(model_id, f"the newest {features.visits} visits", f"the newest {MOST_VISITS}")


def _words(feature: FeatureEncoding) -> str:
    if feature.limits is not None:
        return f"{feature.kind}, {feature.limits[0]:g} to {feature.limits[1]:g}"
    return f"one of the codes {', '.join(sorted(feature.grades))}"


def _other(model_id: str, expected: str, found: str) -> BundleError:
    return BundleError(
        f"The app reads tables otherwise than model {model_id} was made for", expected=expected, found=found, action=OTHER_APP
    )
