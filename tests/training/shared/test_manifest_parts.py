"""Held-out predictions are kept small without a change that a figure would show."""

from pathlib import Path

import numpy as np
import pandas as pd

from training.shared.manifest_parts import to_bits, write_predictions


def test_a_probability_keeps_three_digits_however_small_it_is() -> None:
    values = np.array([0.0, 1.0, 0.5, 0.123456789, 1.23456789e-6, 0.999999], np.float32)
    kept = to_bits(values, 12)
    np.testing.assert_allclose(kept, values, rtol=2.0**-12)
    assert kept[:3].tolist() == [0.0, 1.0, 0.5]
    assert len(np.unique(to_bits(np.linspace(0.5, 1, 100_000, endpoint=False, dtype=np.float32), 12))) == 2048 + 1


def test_predictions_come_back_with_their_names_and_types_in_half_the_room(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"case": [f"w{number}" for number in range(5000)], "novelty": np.arange(5000) / 100})
    for name in ("p_none", "p_cin2-3y", "boosting__cin2-3y"):
        frame[name] = rng.random(5000).astype(np.float32)
    write_predictions(tmp_path / "small.parquet", frame)
    frame.to_parquet(tmp_path / "plain.parquet", index=False, compression="zstd")
    kept = pd.read_parquet(tmp_path / "small.parquet")
    assert kept.dtypes.to_dict() == frame.dtypes.to_dict()
    assert kept["novelty"].equals(frame["novelty"]), "what is held against a limit is not rounded"
    np.testing.assert_allclose(kept["p_none"], frame["p_none"], rtol=2.0**-12)
    small, plain = ((tmp_path / f"{name}.parquet").stat().st_size for name in ("small", "plain"))
    assert small < 0.75 * plain, (small, plain)
