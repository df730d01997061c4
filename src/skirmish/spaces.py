"""Gymnasium spaces that know which actions are available.

Kept apart because Gymnasium is needed by `parallel_env` and `vector_env` alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish.optional import require

require("gymnasium", "vector_env")

from gymnasium import spaces  # noqa: E402


class AvailableDiscrete(spaces.Discrete):
    """Actions 0 to n - 1 of which `sample()` draws an available one.

    available: int8 [n], kept up to date by the environment; with none available (a dead agent) all are drawn from.
    """

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.available = np.ones(n, dtype=np.int8)

    def sample(self, mask: Any = None, probability: Any = None) -> np.int64:
        """Draw from `mask` or `probability` if one is given, else from what is available now."""
        if mask is None and probability is None and self.available.any():
            mask = self.available
        return super().sample(mask=mask, probability=probability)


class AvailableMultiDiscrete(spaces.MultiDiscrete):
    """Actions [B, n_agents] of n_actions each; `sample()` draws available ones.

    available: int8 [B, n_agents, n_actions], kept up to date by the environment.
    """

    def __init__(self, available: NDArray[np.int8]) -> None:
        battles, agents, actions = available.shape
        super().__init__(np.full((battles, agents), actions, dtype=np.int64))
        self.available = available

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[np.int64]:
        """Draw from `mask` or `probability` (as MultiDiscrete) if given, else from what is available now."""
        if mask is not None or probability is not None:
            return super().sample(mask=mask, probability=probability)
        keys = self.np_random.random(self.available.shape) * self.available
        drawn: NDArray[np.int64] = keys.argmax(axis=-1).astype(np.int64)
        return drawn
