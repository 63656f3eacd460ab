"""The photographs of label and glass that scanners keep beside the tissue, and names in DICOM headers: erased, proved gone.

Everything in a file that no level of the pyramid needs is overwritten, whatever it is called; see ADR 0019, and 0037 for DICOM.
``cervix.intake.photographs`` has it done, in a process apart.
"""

from cervix.errors import UploadRefused


def not_proved(found: str) -> UploadRefused:
    """The refusal of a slide of which it cannot be shown that no photograph of its label is left."""
    return UploadRefused(
        "This slide may hold a photograph of its label, with a name, that cannot be removed with certainty",
        expected="a slide whose levels can be told apart from its other images",
        found=found,
        action="Remove label and macro image with the scanner's software, or copy the slide again if it is damaged.",
    )


def no_slide(found: str) -> UploadRefused:
    """The refusal of a file that nothing can open."""
    return UploadRefused(
        "This is not a slide that can be read",
        expected="a slide of a known format",
        found=found,
        action="Copy it again from its source.",
    )
