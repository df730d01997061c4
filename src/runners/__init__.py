"""Runners, which collect whole episodes, by the name that `runner:` gives; each is called as `runner(args, logger)`."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from envs import VECTOR_REGISTRY
from runners.episode_runner import EpisodeRunner
from runners.parallel_runner import ParallelRunner
from runners.vector_runner import VectorRunner
from utils.errors import UserError, nearest

REGISTRY: dict[str, Callable[..., Any]] = {
    "episode": EpisodeRunner,
    "parallel": ParallelRunner,
    "vector": VectorRunner,
}


def resolve(args: SimpleNamespace) -> str:
    """The name in REGISTRY that `args.runner` stands for.

    "auto" is the vector runner where the environment can be batched, worker processes for StarCraft II, else worker
    processes for several environments and none for one.
    """
    if args.runner != "auto":
        if args.runner not in REGISTRY:
            choices = [*REGISTRY, "auto"]
            hint = nearest(args.runner, choices)
            raise UserError(f'no runner is called "{args.runner}".{hint} There are: {", ".join(choices)}')
        return args.runner
    if getattr(args, "engine_info", {}).get("engine") in ("starcraft2", "official_smac"):
        return "parallel"
    if args.env in VECTOR_REGISTRY:
        return "vector"
    return "parallel" if args.batch_size_run > 1 else "episode"
