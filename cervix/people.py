"""Who uses a session, and what he may do."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "reader", "admin"]


@dataclass(frozen=True)
class Person:
    """Whoever uses a session.

    Attributes
    ----------
    name : str
        As the label store knows him: the address he signed in with, or a local reader's name.
    role : Role
        A viewer looks, a reader labels too, an admin also adjudicates, retrains, promotes and rolls back.
    """

    name: str
    role: Role

    @property
    def may_label(self) -> bool:
        return self.role in ("reader", "admin")

    @property
    def may_decide(self) -> bool:
        """Adjudicate, retrain, promote, roll back."""
        return self.role == "admin"
