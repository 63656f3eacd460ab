"""A colour profile is applied where it moves colours, and said; sRGB under any name costs nothing."""

import numpy as np
from PIL import Image, ImageCms

from cervix.sources.colour import profile_of

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """sRGB whose red and blue primaries are exchanged: a profile whose neglect shows."""
    icc = bytearray(SRGB)
    count = int.from_bytes(icc[128:132], "big")
    entries = {bytes(icc[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    icc[red + 4 : red + 12], icc[blue + 4 : blue + 12] = icc[blue + 4 : blue + 12], icc[red + 4 : red + 12]
    return bytes(icc)


def test_srgb_is_left_alone_without_a_word() -> None:
    for icc in (SRGB, None, b""):
        profile = profile_of(icc)
        assert (profile.to_srgb, profile.notice) == (None, "")


def test_another_profile_is_applied_and_said() -> None:
    profile = profile_of(swapped_profile())
    assert "sRGB" in profile.notice
    shown = np.asarray(profile.apply(Image.new("RGB", (4, 4), (200, 30, 120))), int)
    assert np.abs(shown - (120, 30, 200)).max() <= 3


def test_a_profile_that_cannot_be_applied_is_said() -> None:
    grey = bytearray(SRGB)
    grey[16:20] = b"GRAY"
    for icc in (b"no profile at all", bytes(grey)):
        profile = profile_of(icc)
        assert profile.to_srgb is None
        assert "not applied" in profile.notice
