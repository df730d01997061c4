"""Learners by the name that `learner:` gives in a config; each is called as `learner(mac, scheme, logger, args)`.

A learner's module is imported when it is first asked for, so that a run loads one algorithm and not all of them.
"""

from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Any, TypeAlias

LearnerClass: TypeAlias = Callable[..., Any]


class LazyRegistry(MutableMapping[str, LearnerClass]):
    """Names to classes, or to "module:Class" places that are imported on first use."""

    def __init__(self, entries: dict[str, LearnerClass | str]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> LearnerClass:
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = getattr(import_module(module), attribute)
        return entry

    def __setitem__(self, name: str, entry: LearnerClass | str) -> None:
        self._entries[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries


REGISTRY = LazyRegistry(
    {
        "ppo_learner": "learners.ppo_learner:PPOLearner",
        "coma_learner": "learners.coma_learner:COMALearner",
        "happo_learner": "learners.happo_learner:HAPPOLearner",
        "hatrpo_learner": "learners.hatrpo_learner:HATRPOLearner",
        "mappo_distil_learner": "learners.mappo_distil_learner:MAPPODistilLearner",
        "q_learner": "learners.q_learner:QLearner",
        "wqmix_learner": "learners.wqmix_learner:WQMIXLearner",
        "qtran_learner": "learners.qtran_learner:QTRANLearner",
        "maddpg_learner": "learners.maddpg_learner:MADDPGLearner",
        "masac_learner": "learners.masac_learner:MASACLearner",
        "amal_learner": "learners.amal_learner:AMALLearner",
    }
)
