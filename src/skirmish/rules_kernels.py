"""All compiled loops behind `skirmish.rules`, and their compilation."""

from __future__ import annotations

from skirmish import observation_kernels, order_kernels, reward_kernels
from skirmish.kernel_layout import EPISODES, GAMES, LAYOUT, TIMEOUTS, TYPES, WON
from skirmish.observation_kernels import observe, see
from skirmish.order_kernels import play_heuristic, translate
from skirmish.reward_kernels import begin, settle

__all__ = [
    "EPISODES", "GAMES", "LAYOUT", "TIMEOUTS", "TYPES", "WON",
    "begin", "compile_kernels", "observe", "play_heuristic", "see", "settle", "translate",
]  # fmt: skip


def compile_kernels() -> None:
    """Compile every kernel, or load it from Numba's cache; a second call costs nothing."""
    for module in (order_kernels, reward_kernels, observation_kernels):
        for kernel, signature in module.SIGNATURES.items():
            if not kernel.signatures:
                kernel.compile(signature)
                kernel.disable_compile()
