"""Steps, episodes and seconds to a test win rate of 90 %: at the first such test, and once it is sustained."""

from __future__ import annotations

from typing import Any

THRESHOLD = 0.9


class Milestones:
    """Watches the tests' win rates.

    "Sustained" is reached with the last of `evaluations` tests in a row at or above the threshold.
    """

    def __init__(self, evaluations: int, threshold: float = THRESHOLD) -> None:
        self.evaluations = evaluations
        self.threshold = threshold
        self.in_a_row = 0
        self.reached: dict[str, float] = {}

    def test(self, win_rate: float, t_env: int, episodes: int, seconds: float, cpu_seconds: float) -> dict[str, float]:
        """Take one test's result; return the milestones it reached, by metric name."""
        self.in_a_row = self.in_a_row + 1 if win_rate >= self.threshold else 0
        new: dict[str, float] = {}
        for label, enough in (("90", 1), ("sustained_90", self.evaluations)):
            if self.in_a_row >= enough and f"steps_to_{label}" not in self.reached:
                new[f"steps_to_{label}"] = float(t_env)
                new[f"episodes_to_{label}"] = float(episodes)
                new[f"seconds_to_{label}"] = seconds
                new[f"cpu_seconds_to_{label}"] = cpu_seconds
        self.reached.update(new)
        return new

    def state_dict(self) -> dict[str, Any]:
        """Return what has been reached."""
        return {"in_a_row": self.in_a_row, "reached": dict(self.reached)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.in_a_row, self.reached = int(state["in_a_row"]), dict(state["reached"])
