"""Learners by the name that `learner:` gives in a config; each is called as `learner(mac, scheme, logger, args)`.

A learner's module is imported when it is first asked for, so that a run loads one algorithm and not all of them.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any


class LazyRegistry(dict[str, Callable[..., Any]]):
    """A dict of classes; names announced as "module:Class" are imported on first use."""

    def __init__(self, locations: dict[str, str]) -> None:
        super().__init__()
        self._locations = dict(locations)

    def __missing__(self, name: str) -> Callable[..., Any]:
        module, _, attribute = self._locations[name].partition(":")
        self[name] = getattr(import_module(module), attribute)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._locations

    def keys(self) -> Any:
        """All names, imported or not."""
        return {**dict.fromkeys(self._locations), **dict.fromkeys(super().keys())}.keys()

    def __iter__(self) -> Any:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


REGISTRY = LazyRegistry(
    {
        "ppo_learner": "learners.ppo_learner:PPOLearner",
        "q_learner": "learners.q_learner:QLearner",
        "amal_learner": "learners.amal_learner:AMALLearner",
    }
)
