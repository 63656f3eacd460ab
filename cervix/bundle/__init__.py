"""The exported bundle: its manifest, its verification and the sessions that run it."""

from cervix.bundle.loading import Bundle, GoldenCheck, load_bundle, verify_bundle
from cervix.bundle.manifest import Manifest, Model
from cervix.bundle.sessions import ModelSession

__all__ = ["Bundle", "GoldenCheck", "Manifest", "Model", "ModelSession", "load_bundle", "verify_bundle"]
