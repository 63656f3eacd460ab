"""What the tools are asked, as models: checked by them, described from them."""

from typing import Annotated

from pydantic import Field, model_validator

from cervix.api.told import Asked, PatientOptions, SlideOptions
from cervix.mcp_server.call import TABLE_BYTES_AT_MOST

InboxPath = Annotated[str, Field(min_length=1, max_length=1024)]


class NothingAsked(Asked):
    """A tool without arguments."""


class ModelAsked(Asked):
    """Which model is meant."""

    model: Annotated[str, Field(min_length=1, max_length=40, description="Id of a model, as bundle_info tells it.")]


class InboxAsked(Asked):
    """Which slides of the inbox folders are wanted."""

    search: Annotated[str, Field(max_length=200, description="Only paths that hold all of these words.")] = ""


class ScoreAsked(SlideOptions):
    """Which slide is to be scored, and how."""

    inbox: Annotated[InboxPath, Field(description="Relative path of the slide, as slides_in_the_inbox tells it.")]


class WomanAsked(PatientOptions):
    """Which woman of which table is to be explained."""

    table: Annotated[
        Annotated[str, Field(min_length=1, max_length=TABLE_BYTES_AT_MOST)] | None,
        Field(description="A visit table or a risk-factor table as CSV text, of pseudonymous women, at most 2 MB."),
    ] = None
    inbox: Annotated[InboxPath | None, Field(description="Or the relative path of such a table in an inbox folder.")] = None
    pseudonym: Annotated[str, Field(min_length=1, max_length=100, description="Her patient_id in the table.")]

    @model_validator(mode="after")
    def _names_one(self) -> "WomanAsked":
        if (self.table is None) == (self.inbox is None):
            raise ValueError("name one table: table or inbox")
        return self
