"""What a molecular model is fed: markers, the names each is met under, and how the cohort's values are spread."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

COHORT_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of each class, at which a marker's distribution is kept: enough to draw it, and no patient among them."""
MarkerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,39}$")]


class MarkerEncoding(BaseModel):
    """One column of the input ``rpm (N, F)``: reads per million mapped to microRNA, NaN where not measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: MarkerName
    """Of the precursor, as ``hsa-mir-205``."""
    synonyms: list[MarkerName] = []
    """Names that other versions of the catalogue give the same precursor."""
    use: Literal["answer", "gate"]
    """``answer``: it is weighed between the classes, and may speak at the gate too; ``gate``: it tells whether the table is of
    the assay and tissue that the model knows, and nothing else."""
    key: bool = False
    """Whether it is one of those without any of which no answer is given."""
    trained_on: tuple[float, float]
    """Lowest and highest value among the training tumours."""
    cohort: dict[str, list[float]]
    """Class -> the values at ``COHORT_QUANTILES`` of its training tumours."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "MarkerEncoding":
        if self.key and self.use != "answer":
            raise ValueError(f"{self.name}: a key marker is one of the answer's")
        if not 0 <= self.trained_on[0] <= self.trained_on[1]:
            raise ValueError(f"{self.name}: values are 0 or more, the lowest first")
        for label, values in self.cohort.items():
            if len(values) != len(COHORT_QUANTILES) or sorted(values) != values or values[0] < 0:
                raise ValueError(f"{self.name}: {len(COHORT_QUANTILES)} rising quantiles of 0 or more for class {label}")
        return self

    @property
    def names(self) -> list[str]:
        """Every name that it is met under."""
        return [self.name, *self.synonyms]
