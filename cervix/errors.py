"""What can go wrong, said for people: what was expected, what was found, what to do."""


class CervixError(Exception):
    """Root of every error that a page or a command line shows as text.

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


class BundleError(CervixError, ValueError):
    """Raised when a bundle is not exactly what its manifest declares. Nothing is scored with it."""


class PromotionRefused(CervixError, ValueError):
    """Raised when a bundle may not become the active one. The active one stays."""


class SlideNotReadable(CervixError, OSError):
    """Raised when a file is not a slide or image that can be opened and read to its end."""


class TileNotReadable(SlideNotReadable):
    """Raised when one place of a slide cannot be read, while others may be."""


class SlideDamaged(SlideNotReadable):
    """Raised when so much of a slide cannot be read that no answer may rest on the rest."""


class SlideNotSuitable(CervixError, ValueError):
    """Raised when a readable image cannot be scored: wrong colour mode, too small, no tissue."""


class NoTissue(SlideNotSuitable):
    """Raised when no tile of a slide holds enough tissue. It can still be scored everywhere, knowingly."""


class SlideScaleUnknown(SlideNotSuitable):
    """Raised when the slide does not state micrometres per pixel and the caller gave none."""


class PatientFileError(CervixError, ValueError):
    """Raised when a patient table cannot be read as a whole, as opposed to single bad rows."""


class PatientFileUnclear(PatientFileError):
    """Raised when a patient table can be read in two ways and nobody has said which. A person can, once."""


class EvaluationError(CervixError, ValueError):
    """Raised when a figure cannot be computed from the predictions given."""


class DeviceLost(CervixError, RuntimeError):
    """Raised when a device that had been running a model fails to run it."""


class LostApart(CervixError, RuntimeError):
    """Raised when what came from outside ended, or outlasted, the process of its own in which it was examined."""


class NameRefused(CervixError, ValueError):
    """Raised when a name that came from outside cannot be the name of a file within a folder of ours."""


class UploadRefused(CervixError, ValueError):
    """Raised when an upload is too large, of the wrong kind, or not what it claimed to be."""


class UploadTooLarge(UploadRefused):
    """Raised when an upload, or what a session has under way, is larger than it may be."""


class NoRoomForUpload(UploadRefused):
    """Raised when the disk, or the share of it that unfinished uploads may take, has no room for an upload."""


class UploadNotYours(UploadRefused):
    """Raised when an upload was begun by another session."""


class DownloadFailed(CervixError, OSError):
    """Raised when something cannot be had whole from elsewhere, or who has it does not answer as documented."""


class SampleUnavailable(CervixError, OSError):
    """Raised when a sample cannot be fetched from any of its sources."""


class LabelStoreUnavailable(CervixError, OSError):
    """Raised when the label store cannot be opened, read or written now. What was asked for can be asked for again."""


class LabelRefused(CervixError, ValueError):
    """Raised when a label, case or score is not one that the label store can keep."""


class RetrainingRefused(CervixError, RuntimeError):
    """Raised when a retraining cannot be started: one is under way, or the trainer or the disk does not let it."""


class SignInError(CervixError, ValueError):
    """Raised when sign-in is not set up as it must be, does not work now, or names nobody. Nothing is shown then."""


class Cancelled(CervixError):
    """Raised when the person who started a job stopped it."""
