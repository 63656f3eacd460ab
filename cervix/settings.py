"""Settings, read once from the environment (prefix ``CERVIX_``)."""

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[1]
# A name, an IPv4 address, or an IPv6 address (at least two colons), with or without its brackets.
HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[?[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*\]?")
# 32 hexadecimal digits are 128 random bits, which nobody guesses (NIST SP 800-131A asks for 112).
TOKEN_CHARACTERS_AT_LEAST = 32
# Beyond it a rule would rule nothing out: half of what lies between a coin and a perfect AUROC is 0.25.
MARGIN_AT_MOST = 0.2
# This project's own; a missed carcinoma weighs more than a false alarm.
PROMOTION_MARGINS = {"auroc": 0.02, "recall": 0.02, "specificity": 0.05, "ece": 0.02}


class Settings(BaseSettings):
    """Every switch of the app. Each is an environment variable, e.g. ``CERVIX_DEVICE=cpu``."""

    model_config = SettingsConfigDict(env_prefix="CERVIX_", frozen=True, hide_input_in_errors=True)

    bundle_dir: Path = PROJECT_ROOT / "bundle"
    bundle_key: Path | None = None
    """A public key as PEM. Where it is named, every bundle must carry a signature by it (``cervix.bundle.signature``)."""
    bundle_registry: str = Field(default="", repr=False)
    """A list of bundles that admins can add, as JSON: a file, or an address with https; none where it is empty."""
    home: Path = Field(default_factory=lambda: user_data_path("cervix-workbench"))
    """Where uploads, results and samples are kept."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    demo: bool = False
    """For a demonstration table: the tour begins by itself and starts over when nobody touches it; also ``-- --demo``."""
    offline: bool = False
    """Never try the network: real slides are then not offered, only those that are drawn here."""
    sample_slide_url: str = "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs"
    idc_address: str = "https://{bucket}.s3.amazonaws.com"
    """Of the buckets of the Imaging Data Commons, from which slides of TCGA come."""
    sample_timeout_s: float = 15.0
    inbox: Annotated[tuple[Path, ...], NoDecode] = ()
    """Folders on the server whose slides can be opened without an upload, separated as in ``PATH``."""
    upload_limit_gb: float = 16.0
    keep_label_photographs: bool = False
    """Leave photographs of label and glass in uploaded slides, for a closed room. Else they are erased or it is refused."""
    tiles_dir: Path | None = None
    """Folder of the tiles that the slide model was tested on: they may not be shipped, so their pictures need it."""
    uploads_keep_hours: float = 24.0
    """Uploaded slides are deleted after this long unless they are marked to be kept."""
    unfinished_uploads_a_session: int = Field(default=4, ge=1)
    unfinished_gb_a_session: float = Field(default=32.0, gt=0)
    """How many uploads one session may have under way, and how large they may be together, by what they announce."""
    unfinished_uploads: int = Field(default=100, ge=1)
    unfinished_gb: float = Field(default=128.0, gt=0)
    """The same for all sessions together."""

    training_python: Path | None = None
    """Python of the training environment, for retraining from the app; where none is named, the app's own is tried."""

    hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names and addresses besides the loopback ones under which this server is reached, without scheme or port."""
    open_demo_room: bool = False
    """Whoever reaches the server may do everything, though others can reach it and nobody signs in."""
    promotion_auroc_margin: float = Field(default=PROMOTION_MARGINS["auroc"], ge=0, le=MARGIN_AT_MOST)
    promotion_recall_margin: float = Field(default=PROMOTION_MARGINS["recall"], ge=0, le=MARGIN_AT_MOST)
    promotion_specificity_margin: float = Field(default=PROMOTION_MARGINS["specificity"], ge=0, le=MARGIN_AT_MOST)
    promotion_ece_margin: float = Field(default=PROMOTION_MARGINS["ece"], ge=0, le=MARGIN_AT_MOST)
    """The largest loss that a candidate bundle may bring (``cervix.promotion.rules``). 0: it must be shown to be better."""
    cds_token: SecretStr = SecretStr("")
    """What programs show to ask for cards by CDS Hooks; without it there are none. Never shown."""
    cds_open: bool = False
    """Whether programs on other computers, or behind a proxy, may ask for cards too."""
    api_tokens: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """What programs show to have slides and tables scored, separated by commas; without one there is no such API. Each sees
    its own jobs only. Never shown."""
    api_open: bool = False
    """Whether programs on other computers, or behind a proxy, may use the API too."""
    api_jobs: int = Field(default=16, ge=1)
    """How many jobs of one token may wait or run at once."""
    reader: str = "local reader"
    """Under which name labels are kept where nobody signs in and no other name is given."""
    admins: Annotated[tuple[str, ...], NoDecode] = ()
    readers: Annotated[tuple[str, ...], NoDecode] = ()
    """Who may do what once they have signed in: addresses, or ``@domain``, separated by commas or as in ``PATH``."""
    role_claim: str = ""
    """A claim of the sign-in provider that holds ``viewer``, ``reader`` or ``admin``, one or a list; none where empty."""
    sign_in_hours: float = Field(default=12.0, gt=0)
    """How long a sign-in counts."""
    labels_url: str = Field(default="", repr=False)
    """PostgreSQL database of the labels; the file ``labels.sqlite`` where empty. It may hold a password: never shown."""

    dicomweb_url: str = Field(default="", repr=False)
    """Base address of the hospital's archive (DICOMweb, DICOM PS3.18); nothing is asked where it is empty."""
    dicomweb_token: SecretStr = SecretStr("")
    dicomweb_user: str = Field(default="", repr=False)
    dicomweb_password: SecretStr = SecretStr("")
    """What the archive is told of this server: a bearer token, or a user and a password. Never shown, never logged."""
    dicomweb_timeout_s: float = Field(default=30.0, gt=0)
    """How long the archive may be silent."""

    s3_endpoint: str = Field(default="", repr=False)
    """Address of the object store that ``s3://`` means: https, or this computer; Amazon's where it is empty."""
    s3_timeout_s: float = Field(default=30.0, gt=0)
    """How long the object store may be silent."""

    @field_validator("inbox", mode="before")
    @classmethod
    def _split_folders(cls, value: object) -> object:
        return tuple(Path(part).expanduser() for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("admins", "readers", mode="before")
    @classmethod
    def _split_people(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.replace(os.pathsep, ",").split(",") if part.strip())

    @field_validator("api_tokens", mode="before")
    @classmethod
    def _split_tokens(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        tokens = tuple(part.strip() for part in value.split(",") if part.strip())
        for place, token in enumerate(tokens, 1):
            if len(token) < TOKEN_CHARACTERS_AT_LEAST or not token.isascii() or not token.isprintable() or " " in token:
                raise ValueError(
                    f"entry {place} of CERVIX_API_TOKENS is no token: use {TOKEN_CHARACTERS_AT_LEAST} random characters or more"
                )
        return tuple(SecretStr(token) for token in tokens)

    @field_validator("hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(part.strip().lower().rstrip(".") for part in value.split(",") if part.strip())
        for place, name in enumerate(names, 1):
            if not HOST_NAME.fullmatch(name):
                # The name is not repeated, nor is a wildcard taken: then any name would do.
                raise ValueError(f"entry {place} of CERVIX_HOSTS is no plain name: give it without scheme, port, path or *")
        return tuple(f"[{name}]" if ":" in name and not name.startswith("[") else name for name in names)

    @property
    def label_store_url(self) -> str:
        """Where the labels are: what ``open_store`` takes."""
        return self.labels_url or f"sqlite:///{self.home / 'labels.sqlite'}"

    @property
    def archive_url(self) -> str:
        """Of the archive, without a slash at its end; empty where there is none or the network may not be used."""
        return "" if self.offline else self.dicomweb_url.strip().rstrip("/")

    @property
    def uploads_dir(self) -> Path:
        return self.home / "uploads"

    @property
    def results_dir(self) -> Path:
        return self.home / "results"

    @property
    def shelf_dir(self) -> Path:
        return self.home / "recent"

    @property
    def bundles_dir(self) -> Path:
        """Where candidate bundles lie, one folder each."""
        return self.home / "bundles"

    @property
    def retraining_dir(self) -> Path:
        """Where retraining runs keep what was ordered and their logs."""
        return self.home / "retraining"

    @property
    def archive_dir(self) -> Path:
        """Where runs over an archive that were started from the app lie, one folder each."""
        return self.home / "archive"

    @property
    def archive_cache_dir(self) -> Path:
        """Where slides from object stores and archives are kept until others need the room, unless a run names a folder."""
        return self.home / "archive-cache"

    @property
    def samples_dir(self) -> Path:
        return self.home / "samples"


@lru_cache(maxsize=1)
def _of_this_process() -> Settings:
    return Settings()


def _no_sandbox() -> Path | None:
    return None


_home_of_caller: Callable[[], Path | None] = _no_sandbox


def sandboxes_by(home_of_caller: Callable[[], Path | None]) -> None:
    """Ask a function, at every call of ``get_settings``, whether whoever calls it plays in a home of their own."""
    global _home_of_caller
    _home_of_caller = home_of_caller


def get_settings() -> Settings:
    """The settings of this process; for whoever plays in a sandbox, with its home, its labels and nothing of the server's."""
    settings = _of_this_process()
    home = _home_of_caller()
    if home is None:
        return settings
    return settings.model_copy(update={"home": home, "labels_url": "", "inbox": (), "dicomweb_url": "", "bundle_registry": ""})


get_settings.cache_clear = _of_this_process.cache_clear  # type: ignore[attr-defined]
