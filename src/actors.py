"""Act with a trained team from Python.

    from actors import load_actor

    team = load_actor("team.pt")      # a file that a run with save_actor=team.pt has written
    team.reset(8)                     # eight episodes begin
    actions = team.act(obs, avail)    # [8, n_agents], step after step

The team acts by the very controller that was trained, on the CPU. docs/acting.md has a whole program.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from components.episode_buffer import EpisodeBatch
from run import assembly
from run.actor_file import ActorFile, put_weights, read
from utils.errors import UserError
from utils.plugins import import_plugins

__all__ = ["Team", "load_actor"]


def load_actor(path: str | Path, seed: int = 0) -> Team:
    """The team in a file that `save_actor` has written; `seed` is for draws (`act(..., explore=True)`).

    Agents and controllers that a plug-in brought are found if the plug-in's module has been imported.
    Raises UserError for a file that is none, or whose parts are not there.
    """
    actor = read(path)
    team = Team(actor, seed)
    put_weights(team.controller, actor, path)
    return team


class Team:
    """A trained team that acts in any number of episodes at once.

    Attributes:
        config: the keys of the run that trained it; config["env_args"]["map_name"] is its map.
        env_info: sizes and names of its environment, as `get_env_info()` gave them.
        t_env: environment steps that it was trained for.
        n_agents, n_actions, obs_shape: the sizes it acts in.
    """

    def __init__(self, actor: ActorFile, seed: int = 0) -> None:
        self.config, self.env_info, self.t_env = actor.config, actor.env_info, actor.t_env
        self._origin = actor.origin
        args = SimpleNamespace(**{**actor.config, "seed": seed, "device": "cpu", "use_cuda": False})
        import_plugins([])
        self._require_parts()
        self._fields = assembly.fields_of(args, actor.env_info)
        self.n_agents: int = args.n_agents
        self.n_actions: int = args.n_actions
        self.obs_shape: int = args.obs_shape
        self.controller = assembly.build_controller(args, self._fields)
        self.controller.agent.eval()
        self.reset()

    def __repr__(self) -> str:
        sizes = f"{self.n_agents} agents, {self.n_actions} actions, {self.obs_shape} numbers in an observation"
        return f"<Team of {self._origin}: {sizes}>"

    # --- acting -------------------------------------------------------------------------------------------------------

    def reset(self, n_episodes: int = 1) -> None:
        """Begin so many episodes and forget those before."""
        self.n_episodes = n_episodes
        self._steps = np.zeros(n_episodes, dtype=np.int64)
        self._batch = self._new_batch(self.env_info["episode_limit"] + 1)
        self.controller.init_hidden(n_episodes)
        hidden = self._hidden
        self._fresh = None if hidden is None else hidden.clone()

    def restart(self, episodes: Sequence[int] | NDArray[Any]) -> None:
        """Begin anew in some of the episodes (their numbers, or a mask [n_episodes]); the others go on."""
        rows = torch.arange(self.n_episodes)[torch.as_tensor(np.asarray(episodes))]
        self._steps[rows.numpy()] = 0
        for value in self._batch.data.transition_data.values():
            value[rows] = 0
        if self._fresh is not None:
            hidden = self._hidden.clone()
            hidden[rows] = self._fresh[rows]
            self._set_hidden(hidden)

    @torch.no_grad()
    def act(self, obs: ArrayLike, avail: ArrayLike | None = None, explore: bool = False) -> NDArray[Any]:
        """Actions [n_episodes, n_agents] for the next step of every episode.

        obs: [n_episodes, n_agents, obs_shape]; avail: [n_episodes, n_agents, n_actions], nonzero where an action is
        available (None: everywhere). With one episode the first axis may be left out, here and in what comes back.
        explore: draw actions as in training, instead of taking the best.
        What is seen of an episode that has ended does not matter, nor what is done in it.
        Continuous actions come as [n_episodes, n_agents, n_actions]. Raises ValueError for arrays of other sizes.
        """
        single = np.ndim(obs) == 2
        seen = self._sized(obs, "obs", self.obs_shape)
        everything = np.ones((*seen.shape[:2], self.n_actions))
        can = self._sized(everything if avail is None else avail, "avail", self.n_actions)
        actions = torch.zeros_like(self._batch["actions"][:, 0])
        for t in np.unique(self._steps).tolist():
            rows = torch.from_numpy(np.flatnonzero(self._steps == t))
            self._make_room(t)
            self._batch.update({"obs": seen[rows], "avail_actions": can[rows]}, bs=rows, ts=t)
            chosen = self._select(t, rows, explore).reshape(len(rows), *actions.shape[1:])
            self._batch.update({"actions": chosen.unsqueeze(1)}, bs=rows, ts=t, mark_filled=False)
            actions[rows] = chosen.to(actions.dtype)
        self._steps += 1
        result = actions if actions.is_floating_point() else actions[..., 0]
        return result[0].numpy() if single else result.numpy()

    def _select(self, t: int, rows: Tensor, explore: bool) -> Tensor:
        """The controller's choice in the episodes `rows`, which are at step t; the others' memory stays as it is."""
        everyone = len(rows) == self.n_episodes
        before = self._hidden
        kept = None if everyone or before is None else before.clone()
        which = slice(None) if everyone else rows
        chosen = self.controller.select_actions(self._batch, t, self.t_env, bs=which, test_mode=not explore)
        if kept is not None and self._hidden is not None:
            kept[rows] = self._hidden[rows]
            self._set_hidden(kept)
        actions: Tensor = chosen[0] if isinstance(chosen, tuple) else chosen
        return actions

    # --- helpers ------------------------------------------------------------------------------------------------------

    @property
    def _hidden(self) -> Any:
        """The controller's memory, a row for each episode [n_episodes, .]; None where it has none."""
        hidden = getattr(self.controller, "hidden_states", None)
        return None if hidden is None else hidden.reshape(self.n_episodes, -1)

    def _set_hidden(self, rows: Tensor) -> None:
        self.controller.hidden_states = rows.reshape(self.controller.hidden_states.shape)

    def _new_batch(self, length: int) -> EpisodeBatch:
        fields = self._fields
        return EpisodeBatch(fields.scheme, fields.groups, self.n_episodes, length, preprocess=fields.preprocess)

    def _make_room(self, t: int) -> None:
        """Double the batch where an episode outlasts it."""
        if t < self._batch.max_seq_length:
            return
        longer = self._new_batch(2 * self._batch.max_seq_length)
        for key, value in self._batch.data.transition_data.items():
            longer.data.transition_data[key][:, : value.shape[1]] = value
        self._batch = longer

    def _sized(self, values: ArrayLike, name: str, width: int) -> Tensor:
        array = torch.as_tensor(np.asarray(values))
        expected = (self.n_episodes, self.n_agents, width)
        array = array.unsqueeze(0) if array.dim() == 2 else array
        if tuple(array.shape) != expected:
            raise ValueError(
                f"{name} has the shape {list(array.shape)}, but the {self.n_episodes} episodes that reset() began and "
                f"the {self.n_agents} agents of {self._origin} need {list(expected)}."
            )
        return array

    def _require_parts(self) -> None:
        plugins = self.config.get("plugins") or []
        for key in ("mac", "agent", "action_selector"):
            if self.config.get(key) not in assembly.registry(key):
                hint = f" It was trained with plugins={','.join(plugins)}: import that first." if plugins else ""
                raise UserError(f'{self._origin}: there is no {key} "{self.config.get(key)}" here.{hint}')
