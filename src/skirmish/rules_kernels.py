"""All compiled loops behind `skirmish.rules`, and their compilation."""

from __future__ import annotations

from skirmish import kernel_cache, kernel_layout, observation_kernels, order_kernels, reward_kernels
from skirmish.kernel_layout import EPISODES, GAMES, LAYOUT, TIMEOUTS, TYPES, WON
from skirmish.observation_kernels import observe, see
from skirmish.order_kernels import play_heuristic, translate
from skirmish.reward_kernels import begin, settle

__all__ = [
    "EPISODES", "GAMES", "KERNELS", "LAYOUT", "SOURCES", "TIMEOUTS", "TYPES", "WON",
    "begin", "compile_kernels", "observe", "play_heuristic", "see", "settle", "translate",
]  # fmt: skip

KERNELS = {**order_kernels.SIGNATURES, **reward_kernels.SIGNATURES, **observation_kernels.SIGNATURES}
SOURCES = kernel_cache.sources(kernel_layout, order_kernels, reward_kernels, observation_kernels)


def compile_kernels() -> None:
    """Compile every kernel, or load it from Numba's cache; a second call costs nothing."""
    kernel_cache.compile_all(KERNELS, SOURCES)
