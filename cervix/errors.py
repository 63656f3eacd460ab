"""What can go wrong, said for people: what was expected, what was found, what to do; and for programs, by a code."""

from typing import Any, ClassVar

ERRORS: "dict[str, type[CervixError]]" = {}
"""Every class of error by its code. Programs (the upload control, the trainer's log, a process apart) tell errors apart by
these and never by the sentence, which may be put better at any time; so a code, once released, stays."""


class CervixError(Exception):
    """Root of every error that a page or a command line shows as text.

    A subclass names its code: ``class NoTissue(SlideNotSuitable, code="slide-no-tissue")``; ``TypeError`` where another
    class has that code already.

    Parameters
    ----------
    problem : str
        What is wrong, without a full stop.
    expected, found, action : str, optional
        What would have been right, what was there instead, and what the reader can do. Never holds
        patient data.
    """

    def __init__(self, problem: str, *, expected: str = "", found: str = "", action: str = "") -> None:
        self.problem = problem
        self.expected = expected
        self.found = found
        self.action = action
        detail = "; ".join(
            part for part in (f"expected {expected}" if expected else "", f"found {found}" if found else "") if part
        )
        sentence = f"{problem}: {detail}." if detail else f"{problem}."
        super().__init__(f"{sentence} {action}".strip())

    code: ClassVar[str] = "error"

    def __init_subclass__(cls, *, code: str, **more: Any) -> None:
        super().__init_subclass__(**more)
        there = ERRORS.setdefault(code, cls)
        if (there.__module__, there.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__qualname__} has the code of {there.__qualname__}: {code}")
        cls.code = code


ERRORS[CervixError.code] = CervixError


class BundleError(CervixError, ValueError, code="bundle-not-as-declared"):
    """Raised when a bundle is not exactly what its manifest declares. Nothing is scored with it."""


class SignatureRefused(BundleError, code="bundle-signature-refused"):
    """Raised when a key is configured and a bundle is not signed by it, or a signature cannot be made."""


class RegistryRefused(CervixError, ValueError, code="registry-refused"):
    """Raised when a registry is no list of bundles, or does not list what is asked for."""


class PromotionRefused(CervixError, ValueError, code="promotion-refused"):
    """Raised when a bundle may not become the active one. The active one stays."""


class SlideNotReadable(CervixError, OSError, code="slide-not-readable"):
    """Raised when a file is not a slide or image that can be opened and read to its end."""


class TileNotReadable(SlideNotReadable, code="tile-not-readable"):
    """Raised when one place of a slide cannot be read, while others may be."""


class SlideDamaged(SlideNotReadable, code="slide-damaged"):
    """Raised when so much of a slide cannot be read that no answer may rest on the rest."""


class SlideNotSuitable(CervixError, ValueError, code="slide-not-suitable"):
    """Raised when a readable image cannot be scored: wrong colour mode, too small, no tissue."""


class NoTissue(SlideNotSuitable, code="slide-no-tissue"):
    """Raised when no tile of a slide holds enough tissue. It can still be scored everywhere, knowingly."""


class WrongStain(SlideNotSuitable, code="slide-wrong-stain"):
    """Raised when the stain of a slide does not look like H&E. It can still be scored, knowingly."""


class SlideScaleUnknown(SlideNotSuitable, code="slide-scale-unknown"):
    """Raised when the slide does not state micrometres per pixel and the caller gave none."""


class PatientFileError(CervixError, ValueError, code="patient-file-not-readable"):
    """Raised when a patient table cannot be read as a whole, as opposed to single bad rows."""


class MarkerFileError(PatientFileError, code="marker-file-not-readable"):
    """Raised when a table of molecular markers cannot be read as a whole, as opposed to single bad rows."""


class PatientFileUnclear(PatientFileError, code="patient-file-unclear"):
    """Raised when a patient table can be read in two ways and nobody has said which. A person can, once."""


class NoResultsInFile(PatientFileError, code="patient-file-empty"):
    """Raised when a patient file is what it should be, and holds no result of cervical screening."""


class HookRefused(CervixError, ValueError, code="hook-refused"):
    """Raised when a call of CDS Hooks is not one that the service answers."""


class PrefetchMissing(HookRefused, code="hook-prefetch-missing"):
    """Raised when a call of CDS Hooks lacks something that the service asks for."""


class EvaluationError(CervixError, ValueError, code="figure-not-computable"):
    """Raised when a figure cannot be computed from the predictions given."""


class DeviceLost(CervixError, RuntimeError, code="device-lost"):
    """Raised when a device that had been running a model fails to run it."""


class LostApart(CervixError, RuntimeError, code="lost-apart"):
    """Raised when what came from outside ended, or outlasted, the process of its own in which it was examined."""


class NameRefused(CervixError, ValueError, code="name-refused"):
    """Raised when a name that came from outside cannot be the name of a file within a folder of ours."""


class UploadRefused(CervixError, ValueError, code="upload-refused"):
    """Raised when an upload is too large, of the wrong kind, or not what it claimed to be."""


class UploadTooLarge(UploadRefused, code="upload-too-large"):
    """Raised when an upload, or what a session has under way, is larger than it may be."""


class NoRoomForUpload(UploadRefused, code="upload-no-room"):
    """Raised when the disk, or the share of it that unfinished uploads may take, has no room for an upload."""


class UploadNotYours(UploadRefused, code="upload-not-yours"):
    """Raised when an upload was begun by another session."""


class UploadPermissionExpired(UploadRefused, code="upload-permission-expired"):
    """Raised when the address that a page was given to upload to is not valid any more. What has arrived is kept."""


class UploadFromElsewhere(UploadRefused, code="upload-from-elsewhere"):
    """Raised when a page that is not this app's own tries to upload."""


class UploadBusy(UploadRefused, code="upload-busy"):
    """Raised when an upload cannot go on from where the sender thinks it is just now; the server says from where."""


class DownloadFailed(CervixError, OSError, code="download-failed"):
    """Raised when something cannot be downloaded whole, or its server does not answer as documented."""


class ArchiveRefused(CervixError, OSError, code="archive-refused"):
    """Raised when an archive may not be asked as it is set up, or does not keep what is sent to it."""


class ArchiveRunRefused(CervixError, ValueError, code="archive-run-refused"):
    """Raised when a run over an archive cannot be made or gone on with as asked: two drivers, another bundle, no source."""


class SourceUnavailable(CervixError, OSError, code="source-unavailable"):
    """Raised when a slide cannot be had from where it lies just now: a store that does not answer, a lock, a full disk."""


class SourceVanished(CervixError, OSError, code="source-vanished"):
    """Raised when a slide is not any more where it was listed."""


class CallRefused(CervixError, ValueError, code="call-refused"):
    """Raised when a call of the scoring API, or of a tool of the MCP server, is not one that it answers."""


class CallTookTooLong(CallRefused, code="call-took-too-long"):
    """Raised when a tool of the MCP server had no answer within the time that it may take."""


class AnswerGone(CervixError, LookupError, code="answer-gone"):
    """Raised when a job of the scoring API is known, and what it answered is not kept any more, or not on this server."""


class ServerBusy(CervixError, RuntimeError, code="server-busy"):
    """Raised when as much is being done as may be done at once. What was asked for can be asked for again."""


class SampleUnavailable(CervixError, OSError, code="sample-unavailable"):
    """Raised when a sample cannot be fetched from any of its sources."""


class LabelStoreUnavailable(CervixError, OSError, code="label-store-unavailable"):
    """Raised when the label store cannot be opened, read or written now. What was asked for can be asked for again."""


class LabelRefused(CervixError, ValueError, code="label-refused"):
    """Raised when a label, case or score is not one that the label store can keep."""


class RetrainingRefused(CervixError, RuntimeError, code="retraining-refused"):
    """Raised when a retraining cannot be started: one is under way, or the trainer or the disk does not let it."""


class SignInError(CervixError, ValueError, code="sign-in-failed"):
    """Raised when sign-in is not set up as it must be, does not work now, or names nobody. Nothing is shown then."""


class Cancelled(CervixError, code="cancelled"):
    """Raised when the person who started a job stopped it."""
