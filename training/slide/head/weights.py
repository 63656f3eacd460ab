"""Gated attention over the tiles of a bag (Ilse, Tomczak and Welling 2018, Proc Mach Learn Res 80:2127-2136, eq. 9).

``attention = softmax(w · (tanh(V h) ⊙ sigmoid(U h)))``; the slide is the mean of its tiles weighted so, and one linear layer
answers. Needs no TensorFlow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
CLIP = 3.0
"""Spreads at which a standardised number is cut off, as in the hybrid: a channel silent in training does not dominate."""


@dataclass(frozen=True)
class HeadWeights:
    """A fitted head.

    Attributes
    ----------
    mean, spread : (size,) of the embeddings of training tiles
    tanh_kernel, gate_kernel : (size, hidden)
    tanh_bias, gate_bias : (hidden,)
    score_kernel : (hidden, 1)
    answer_kernel, answer_bias : (size, 1), (1,)
        From the weighted mean of standardised embeddings to log odds of carcinoma.
    """

    mean: Floats
    spread: Floats
    tanh_kernel: Floats
    tanh_bias: Floats
    gate_kernel: Floats
    gate_bias: Floats
    score_kernel: Floats
    answer_kernel: Floats
    answer_bias: Floats

    def log_odds(self, embedding: Floats) -> tuple[float, Floats]:
        """Log odds of carcinoma of a bag ``(t, size)`` and attention to its tiles ``(t,)``; ``ValueError`` of an empty one."""
        if not len(embedding):
            raise ValueError("a bag without a tile has no answer")
        x = np.clip((embedding - self.mean) / self.spread, -CLIP, CLIP)
        gate = 1 / (1 + np.exp(-(x @ self.gate_kernel + self.gate_bias)))
        score = ((np.tanh(x @ self.tanh_kernel + self.tanh_bias) * gate) @ self.score_kernel)[:, 0]
        attention = np.exp(score - score.max())
        attention /= attention.sum()
        return float((attention @ x @ self.answer_kernel + self.answer_bias)[0]), np.asarray(attention, np.float32)
