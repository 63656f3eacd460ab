"""Errors are told apart by codes: each has one of its own, and a code that was released stays."""

import importlib
import inspect
import pkgutil

import pytest

import cervix
from cervix.errors import ERRORS, CervixError, NoTissue, SlideScaleUnknown
from cervix.settings import PROJECT_ROOT
from cervix.sources.apart import Limits, run_apart

PINNED = {
    "answer-gone": "AnswerGone",
    "archive-refused": "ArchiveRefused",
    "archive-run-refused": "ArchiveRunRefused",
    "bundle-not-as-declared": "BundleError",
    "bundle-signature-refused": "SignatureRefused",
    "call-refused": "CallRefused",
    "call-took-too-long": "CallTookTooLong",
    "cancelled": "Cancelled",
    "device-lost": "DeviceLost",
    "error": "CervixError",
    "figure-not-computable": "EvaluationError",
    "hook-prefetch-missing": "PrefetchMissing",
    "hook-refused": "HookRefused",
    "label-refused": "LabelRefused",
    "label-store-unavailable": "LabelStoreUnavailable",
    "lost-apart": "LostApart",
    "marker-file-not-readable": "MarkerFileError",
    "name-refused": "NameRefused",
    "patient-file-empty": "NoResultsInFile",
    "patient-file-not-readable": "PatientFileError",
    "patient-file-unclear": "PatientFileUnclear",
    "promotion-refused": "PromotionRefused",
    "registry-refused": "RegistryRefused",
    "retraining-refused": "RetrainingRefused",
    "download-failed": "DownloadFailed",
    "sample-unavailable": "SampleUnavailable",
    "server-busy": "ServerBusy",
    "sign-in-failed": "SignInError",
    "slide-damaged": "SlideDamaged",
    "slide-no-tissue": "NoTissue",
    "slide-not-readable": "SlideNotReadable",
    "slide-not-suitable": "SlideNotSuitable",
    "slide-scale-unknown": "SlideScaleUnknown",
    "slide-wrong-stain": "WrongStain",
    "source-unavailable": "SourceUnavailable",
    "source-vanished": "SourceVanished",
    "tile-not-readable": "TileNotReadable",
    "upload-busy": "UploadBusy",
    "upload-from-elsewhere": "UploadFromElsewhere",
    "upload-no-room": "NoRoomForUpload",
    "upload-not-yours": "UploadNotYours",
    "upload-permission-expired": "UploadPermissionExpired",
    "upload-refused": "UploadRefused",
    "upload-too-large": "UploadTooLarge",
}
"""What programs outside know. A class may be renamed; its code may not, and none is used again for something else."""


def test_the_codes_of_the_library_are_those_that_were_released() -> None:
    for module in pkgutil.walk_packages(cervix.__path__, "cervix."):
        if not module.name.endswith(("__main__", ".env", "0001_first_tables")):
            importlib.import_module(module.name)
    own = {code: kind.__name__ for code, kind in ERRORS.items() if kind.__module__.startswith("cervix.")}
    assert own == PINNED


def test_the_page_for_programs_tells_what_every_code_means() -> None:
    rows = [
        f"| `{code}` | {inspect.getdoc(ERRORS[code]) or ''} |".replace("Raised when", "When")
        for code in sorted(PINNED)
        if code != "error"
    ]
    page = (PROJECT_ROOT / "docs/without-the-app.md").read_text(encoding="utf-8")
    assert "\n".join(rows) in page, "\n".join(rows)


def test_no_two_errors_have_one_code() -> None:
    with pytest.raises(TypeError, match="NoTissue"):
        type("Another", (CervixError,), {}, code=NoTissue.code)
    with pytest.raises(TypeError, match="code"):
        type("WithoutACode", (CervixError,), {})
    assert ERRORS[NoTissue.code] is NoTissue


def refuse(code: str) -> None:
    raise ERRORS[code]("Nothing", expected="something", found="naught", action="Try.")


@pytest.mark.parametrize("code", [SlideScaleUnknown.code, "upload-busy"])
def test_an_error_comes_back_from_a_process_apart_as_it_was(code: str) -> None:
    with pytest.raises(ERRORS[code], match=r"Nothing: expected something; found naught\. Try\."):
        run_apart("tests.test_errors:refuse", {"code": code}, Limits(), subject="code")
