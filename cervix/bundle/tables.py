"""Tables of a bundle; one that is not what the manifest lists, or cannot be read as a table, raises ``BundleError``."""

import io
from pathlib import Path

import pandas as pd
from pyarrow import ArrowException

from cervix.bundle.loading import read_listed
from cervix.errors import BundleError

PARQUET_FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, ArrowException)
"""What pandas and pyarrow raise at a parquet file with damaged bytes, in its footer or in what pandas wrote there."""


def read_predictions(root: Path, name: str) -> pd.DataFrame:
    """A parquet table of a bundle, as its manifest lists it; ``BundleError`` where it cannot be read as one."""
    return predictions_in(read_listed(root, name), name)


def read_text_table(root: Path, name: str) -> pd.DataFrame:
    """A CSV table of a bundle, as its manifest lists it, every cell as text; ``BundleError`` where it cannot be read as one."""
    return text_table_in(read_listed(root, name), name)


def predictions_in(content: bytes, name: str) -> pd.DataFrame:
    """A parquet table; ``BundleError`` where it cannot be read as one."""
    try:
        return pd.read_parquet(io.BytesIO(content))
    except PARQUET_FAULTS as error:
        raise _no_table(name, "a parquet table") from error


def text_table_in(content: bytes, name: str) -> pd.DataFrame:
    """A CSV table, every cell as text; ``BundleError`` where it cannot be read as one."""
    try:
        return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # among them pandas' ParserError and UnicodeDecodeError
        raise _no_table(name, "a CSV table in UTF-8") from error


def _no_table(name: str, expected: str) -> BundleError:
    return BundleError(f"{name} of the bundle cannot be read", expected=expected, found="other or damaged bytes")
