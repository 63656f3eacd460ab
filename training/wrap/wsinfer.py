"""``config.json`` as WSInfer writes it beside a TorchScript: scale, size, classes and transforms (Kaczmarzyk et al. 2024).

What it says need not be said again in ``about.toml``; where both say something else, nothing is guessed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.wrap.refusal import WrapRefused, faults_of

CONFIG_NAME: Final = "config.json"
CONFIG_BYTES_AT_MOST: Final = 1 << 20
Three = Annotated[list[float], Field(min_length=3, max_length=3)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Size(_Strict):
    size: int = Field(gt=0)


class _Moments(_Strict):
    mean: Three
    std: Three


class _Resize(_Strict):
    name: Literal["Resize"]
    arguments: _Size


class _ToTensor(_Strict):
    name: Literal["ToTensor"]
    arguments: dict[str, Any] | None = Field(default=None, max_length=0)


class _Normalize(_Strict):
    name: Literal["Normalize"]
    arguments: _Moments


class Config(BaseModel):
    """The keys that say how a tile is read; others are passed over."""

    model_config = ConfigDict(frozen=True)

    class_names: list[str] = Field(min_length=1)
    patch_size_pixels: int = Field(gt=0)
    spacing_um_px: float = Field(gt=0.0)
    transform: list[Annotated[_Resize | _ToTensor | _Normalize, Field(discriminator="name")]]

    @property
    def input(self) -> dict[str, Any]:
        """The same in the words of ``about.toml``."""
        steps: list[dict[str, Any]] = []
        resized: dict[str, Any] = {}
        for step in self.transform:
            if isinstance(step, _Resize):
                resized = {"resized_to_px": step.arguments.size}
            elif isinstance(step, _ToTensor):
                steps.append({"divide": 255})
            else:
                steps += [{"subtract": step.arguments.mean}, {"divide": step.arguments.std}]
        return {
            "layout": "NCHW",
            "channels": "RGB",
            "size_px": self.patch_size_pixels,
            "spacing_um_px": self.spacing_um_px,
            "spacing_source": f"{CONFIG_NAME} beside the model",
            "transforms": steps,
            **resized,
        }


def with_config(said: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What ``about.toml`` says, with what ``config.json`` says of its ``input``; unchanged where there is no such file.

    Raises
    ------
    WrapRefused
        ``config.json`` cannot be read; both say something else of one key; its classes are not those of ``about.toml``.
    """
    if not path.is_file():
        return dict(said)
    config, own = _read(path), said.get("input", {})
    if not isinstance(own, Mapping):
        return dict(said)
    stated = config.input
    if differing := [key for key in stated if key in own and own[key] != stated[key] and key != "spacing_source"]:
        raise WrapRefused(
            f"about.toml and {CONFIG_NAME} disagree",
            expected="; ".join(f"input.{key} = {stated[key]}, as {CONFIG_NAME} says" for key in differing),
            found="; ".join(f"{own[key]}" for key in differing),
            action="Leave the key out of about.toml, or correct one of the two.",
        )
    _check_classes(config.class_names, said.get("classes", []))
    return {**said, "input": {**stated, **own}}


def _read(path: Path) -> Config:
    if path.stat().st_size > CONFIG_BYTES_AT_MOST:
        raise WrapRefused(f"{CONFIG_NAME} is too long", expected="at most 1 MB", found=f"{path.stat().st_size / 1e6:.0f} MB")
    try:
        return Config.model_validate(json.loads(path.read_text(encoding="utf-8-sig")))
    except ValidationError as error:
        raise WrapRefused(
            f"{CONFIG_NAME} does not say how a tile is read",
            expected="class_names, patch_size_pixels, spacing_um_px and transform, a list of Resize, ToTensor and Normalize",
            found=faults_of(error),
            action="Write transforms that are not among these into the model, and leave them out of the file.",
        ) from error
    except ValueError as error:
        raise WrapRefused(f"{CONFIG_NAME} cannot be read", expected="JSON in UTF-8", found=type(error).__name__) from error


def _check_classes(names: list[str], classes: Any) -> None:
    """Each name is the id, the title or the short title of the class in its place."""
    listed = [item for item in classes if isinstance(item, Mapping)] if isinstance(classes, list) else []
    fits = len(listed) == len(names) and all(
        _plain(name) in {_plain(str(item.get(key, ""))) for key in ("id", "title", "short")}
        for name, item in zip(names, listed, strict=True)
    )
    if not fits:
        raise WrapRefused(
            f"The classes are not those of {CONFIG_NAME}",
            expected=f"in this order: {', '.join(names)}",
            found=", ".join(str(item.get("id", "")) for item in listed) or "none",
            action="Let the id, title or short title of each class in about.toml be its name in config.json.",
        )


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
