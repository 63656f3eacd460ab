"""What every object says of who made it: device, bundle, research notice."""

from dataclasses import dataclass
from typing import Any, Final

from highdicom import UID, AlgorithmIdentificationSequence
from highdicom.sr import AlgorithmIdentification
from pydicom.sr.codedict import codes

from cervix import RESEARCH_NOTICE
from cervix.bundle.loading import SHORT_HASH
from cervix.bundle.manifest import Model
from cervix.interop.dicom.terms import LONG_STRING_AT_MOST, SCHEME, long_string
from cervix.provenance import Provenance

MANUFACTURER: Final = "Cervix Workbench"


def identity(series_number: int, model: str, serial: str, version: str) -> dict[str, Any]:
    """Arguments of every object of highdicom, with fresh UIDs; each object is a series of its own."""
    return {
        "series_instance_uid": UID(),
        "series_number": series_number,
        "series_description": RESEARCH_NOTICE,
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": model,
        "software_versions": version,
        "device_serial_number": serial,
        "coding_schemes": [SCHEME],
    }


UNEVALUATED_IN_SHORT: Final = "Unevaluated model. Research only. Not a medical device."
"""``Model.notice`` of an unevaluated model, as long as a description may be."""


@dataclass(frozen=True)
class Maker:
    """The app with the model that scored.

    Attributes
    ----------
    origin : Provenance
        Of the score.
    """

    model: Model
    origin: Provenance

    @property
    def name(self) -> str:
        """What the model is called, as long as a name may be."""
        return long_string(self.model.title)

    @property
    def version(self) -> str:
        """Bundle and version, as long as a version may be; the end of it is the number."""
        return long_string(self.origin.bundle[-LONG_STRING_AT_MOST:])

    @property
    def serial(self) -> str:
        """The bundle's hash as files and pages shorten it: the device's serial number."""
        return self.origin.bundle_sha256[:SHORT_HASH]

    @property
    def in_short(self) -> str:
        """The notice, as long as a description may be (64 characters)."""
        return RESEARCH_NOTICE if self.model.is_evaluated else UNEVALUATED_IN_SHORT

    def identity(self, series_number: int) -> dict[str, Any]:
        """``identity`` of an object that the model made."""
        named = identity(series_number, self.name, self.serial, self.origin.app_version)
        return named | {"series_description": self.in_short}

    def algorithm(self) -> AlgorithmIdentificationSequence:
        """Name, version and hash of the bundle, for images and annotations (PS3.3, 10.16)."""
        return AlgorithmIdentificationSequence(
            self.name,
            codes.DCM.ArtificialIntelligence,
            self.version,
            source=MANUFACTURER,
            parameters={"bundle_sha256": self.origin.bundle_sha256},
        )

    def algorithm_of_measurements(self) -> AlgorithmIdentification:
        """The same for reports (PS3.16, TID 4019)."""
        return AlgorithmIdentification(
            self.name,
            self.version,
            parameters=[f"bundle_sha256={self.origin.bundle_sha256}"],
            family=codes.DCM.ArtificialIntelligence,
            manufacturer=MANUFACTURER,
        )
