"""What all runners share: batches, counters, statistics. How episodes are played is each runner's own."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from components.episode_buffer import EpisodeBatch
from runners.statistics import EpisodeStatistics
from utils.seeding import stream_seed


class BaseRunner:
    """Collects `args.batch_size_run` whole episodes per `run()`.

    Training and test episodes are played in instances of their own, with seeds from different streams, so that testing
    never changes what training sees. Two batches alternate: what one `run()` returned stays untouched during the next.

    Attributes:
        t_env: environment steps of training so far.
        t: time steps of the latest run.
        last_episodes: a row per episode of the latest run (return, length, numbers of the last info).
    """

    def __init__(self, args: SimpleNamespace, logger: Any) -> None:
        self.args = args
        self.logger = logger
        self.batch_size: int = args.batch_size_run
        self.t = 0
        self.t_env = 0
        self.last_episodes: list[dict[str, float]] = []
        self.statistics = EpisodeStatistics(args, logger)
        self.env_info = self._open(test_mode=False)
        self.episode_limit: int = self.env_info["episode_limit"]
        self.mac: Any = None
        self.new_batch: Callable[[], EpisodeBatch]
        self._batches: list[EpisodeBatch] = []
        self._next = 0

    # --- a runner's own part ------------------------------------------------------------------------------------------

    def _open(self, test_mode: bool) -> dict[str, Any]:
        """Make the environments for training or for tests; returns their `get_env_info()`."""
        raise NotImplementedError

    def _play(self, batch: EpisodeBatch, n_episodes: int, test_mode: bool) -> list[dict[str, float]]:
        """Play one episode in each of the first `n_episodes` rows of an empty batch; returns the episodes' rows."""
        raise NotImplementedError

    def _environment_state(self) -> dict[str, Any]:
        """Of the environments, what a resumed run needs."""
        return {}

    def _load_environment_state(self, state: dict[str, Any]) -> None:
        """Take over what `_environment_state` gave."""

    def close_env(self) -> None:
        """Release all environments."""
        raise NotImplementedError

    # --- PyMARL's interface -------------------------------------------------------------------------------------------

    def setup(self, scheme: dict[str, Any], groups: dict[str, int], preprocess: dict[str, Any], mac: Any) -> None:
        """Learn the fields of a batch and who acts."""
        self.mac = mac

        def new_batch() -> EpisodeBatch:
            return EpisodeBatch(scheme, groups, self.batch_size, self.episode_limit + 1, preprocess=preprocess)

        self.new_batch = new_batch
        self._batches = [new_batch(), new_batch()]

    def get_env_info(self) -> dict[str, Any]:
        """Sizes and names, as the environment gives them."""
        return self.env_info

    def run(self, test_mode: bool = False) -> EpisodeBatch:
        """Play `batch_size_run` episodes, in test mode no more than `test_nepisode` still lacks."""
        n_episodes = self.batch_size
        if test_mode:
            n_episodes = min(n_episodes, max(self.statistics.test_episodes_missing, 1))
        batch = self._empty_batch()
        self.mac.init_hidden(batch_size=self.batch_size)
        rows = self._play(batch, n_episodes, test_mode)
        if not test_mode:
            self.t_env += sum(int(row["length"]) for row in rows)
        epsilon = getattr(self.mac.action_selector, "epsilon", None)
        self.statistics.add(rows, self.t_env, test_mode, epsilon)
        self.last_episodes = rows
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Counters, statistics not logged yet, and environments."""
        return {
            "t_env": self.t_env,
            "statistics": self.statistics.state_dict(),
            "environments": self._environment_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.t_env = int(state["t_env"])
        self.statistics.load_state_dict(state["statistics"])
        self._load_environment_state(state["environments"])

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _empty_batch(self) -> EpisodeBatch:
        batch = self._batches[self._next]
        self._next = 1 - self._next
        used = batch.max_t_filled()
        if used:
            for value in batch.data.transition_data.values():
                value[:, :used].zero_()
        return batch

    def _seed(self, test_mode: bool, index: int = 0) -> int:
        stream = "environment_test" if test_mode else "environment"
        return stream_seed(self.args.seed or 0, stream, index)

    def _env_args(self) -> dict[str, Any]:
        """The environment's arguments but its seed, which comes from `seed` alone."""
        return {key: value for key, value in self.args.env_args.items() if key != "seed"}

    def _select(self, batch: EpisodeBatch, t: int, rows: Any, test_mode: bool) -> tuple[torch.Tensor, Any]:
        """Actions [rows, n] on the CPU, and probabilities where the scheme asks for them."""
        chosen = self.mac.select_actions(batch, t_ep=t, t_env=self.t_env, bs=rows, test_mode=test_mode)
        actions, probs = chosen if isinstance(chosen, tuple) else (chosen, None)
        return actions.detach().cpu(), probs if "probs" in batch else None
