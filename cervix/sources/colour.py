"""The colours that a file's ICC profile means, as sRGB."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

# A profile that moves no colour by more (of 255) is sRGB under whatever name; applying it would only take time.
SAME_WITHIN = 2
_CUBE = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3, indexing="ij"), axis=-1).reshape(16, -1, 3)


@dataclass(frozen=True)
class Profile:
    """An ICC profile of a file and what became of it.

    Attributes
    ----------
    to_srgb : ImageCmsTransform or None
        From the file's RGB to sRGB; None where the profile is sRGB itself or cannot be applied.
    notice : str
        What a user should know; empty where the profile is sRGB.
    """

    to_srgb: ImageCms.ImageCmsTransform | None = None
    notice: str = ""

    def apply(self, image: Image.Image) -> Image.Image:
        """An RGB image in sRGB."""
        if self.to_srgb is None:
            return image
        shown = self.to_srgb.apply(image)
        shown.info.pop("icc_profile", None)
        return shown


def profile_of(icc: bytes | None) -> Profile:
    """Read an ICC profile, perceptual intent; one that is damaged or not of RGB is said and not applied."""
    if not icc:
        return Profile()
    try:
        read = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = str(read.profile.xcolor_space).strip()
        if space != "RGB":
            return Profile(None, f"The file's colour profile is for {space}, not for RGB; it was not applied.")
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(read, srgb, "RGB", "RGB", flags=ImageCms.Flags.NOCACHE)
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError) as error:
        return Profile(None, f"The file's colour profile cannot be read ({type(error).__name__}); it was not applied.")
    moved = np.asarray(transform.apply(Image.fromarray(_CUBE)), np.int16) - _CUBE
    if np.abs(moved).max() <= SAME_WITHIN:
        return Profile()
    printable = "".join(letter for letter in read.profile.profile_description or "" if letter.isprintable())[:60]
    return Profile(transform, f"Colours were converted from the file's profile ({printable or 'without a name'}) to sRGB.")
