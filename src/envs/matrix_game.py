"""Matrix games: the smallest cooperative problems, for checking what a mixer can represent.

`one_step`: everybody chooses once, the payoff table tells the reward. `two_step`: agent 0's first choice (unpaid)
picks one of several tables, the second choices are paid from it; this is the two-step game of Rashid et al. 2018,
whose best return, 8, needs a non-additive value of the second table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.multiagentenv import MultiAgentEnv
from utils.errors import nearest

if TYPE_CHECKING:
    import torch

PAYOFFS: dict[str, Any] = {
    "one_step": [[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]],
    "two_step": [[[7.0, 7.0], [7.0, 7.0]], [[0.0, 1.0], [1.0, 8.0]]],
}
"""Default tables: the non-monotonic game of Son et al. 2019 and the two-step game of Rashid et al. 2018."""


class MatrixGame(MultiAgentEnv):
    """A matrix game of two or more agents with equally many actions.

    game: `one_step` or `two_step`; payoff: table [A, ..., A] with an axis per agent, for `two_step` a list of A such
    tables; seed is accepted, nothing is random. State and observations are the one-hot of the table in play.
    Raises ValueError for an unknown game, argument or an uneven table.
    """

    def __init__(self, game: str = "one_step", payoff: Any = None, seed: int | None = None, **unknown: Any) -> None:
        for name in unknown:
            hint = nearest(name, ("game", "payoff", "seed"))
            raise ValueError(f'There is no environment argument "{name}".{hint} Known: game, payoff, seed.')
        if game not in PAYOFFS:
            raise ValueError(f'There is no matrix game "{game}".{nearest(game, PAYOFFS)} Known: {", ".join(PAYOFFS)}.')
        self._payoff = _table(game, PAYOFFS[game] if payoff is None else payoff)
        self._two_steps = game == "two_step"
        self._seed = seed
        self.n_agents = self._payoff.ndim - self._two_steps
        self.n_actions = self._payoff.shape[-1]
        self.episode_limit = 2 if self._two_steps else 1
        self._node = self._t = 0

    def reset(self) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Begin an episode at the first choice."""
        self._node = self._t = 0
        return self.get_obs(), self.get_state()

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Play one choice of every agent."""
        chosen = tuple(int(action) for action in actions)
        for agent, action in enumerate(chosen):
            if not 0 <= action < self.n_actions:
                raise ValueError(f"Agent {agent} cannot take action {action}; there are {self.n_actions} actions.")
        if len(chosen) != self.n_agents:
            raise ValueError(f"There are {self.n_agents} agents, but {len(chosen)} actions.")
        self._t += 1
        if self._two_steps and self._t == 1:
            self._node = 1 + chosen[0]
            return 0.0, False, {}
        table = self._payoff[self._node - 1] if self._two_steps else self._payoff
        return float(table[chosen]), True, {}

    def get_state(self) -> NDArray[np.float32]:
        """One-hot of the table in play."""
        state = np.zeros(self.get_state_size(), dtype=np.float32)
        state[self._node] = 1.0
        return state

    def get_obs(self) -> list[NDArray[np.float32]]:
        """The state, for every agent."""
        return [self.get_obs_agent(agent) for agent in range(self.n_agents)]

    def get_obs_agent(self, agent_id: int) -> NDArray[np.float32]:
        """The state."""
        return self.get_state()

    def get_obs_size(self) -> int:
        """Length of an observation."""
        return self.get_state_size()

    def get_state_size(self) -> int:
        """Number of tables, and one for the first choice of `two_step`."""
        return 1 + self.n_actions if self._two_steps else 1

    def get_total_actions(self) -> int:
        """Number of actions of an agent."""
        return self.n_actions

    def get_avail_actions(self) -> list[list[int]]:
        """All actions are always available."""
        return [self.get_avail_agent_actions(agent) for agent in range(self.n_agents)]

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """All actions are always available."""
        return [1] * self.n_actions

    def seed(self) -> int | None:
        """The seed given; nothing depends on it."""
        return self._seed


def _table(game: str, payoff: Any) -> NDArray[np.float64]:
    try:
        table = np.array(payoff, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.zeros(0)
    axes = 3 if game == "two_step" else 2
    if table.ndim < axes or len(set(table.shape)) != 1 or not np.isfinite(table).all():
        wanted = "a list of A tables [A, A]" if game == "two_step" else "a table [A, A]"
        raise ValueError(f'The payoff of the matrix game "{game}" must be {wanted} of finite numbers.')
    return table


def print_matrix_status(batch: Any, mixer: Any, mac_out: torch.Tensor) -> None:
    """Print the joint values [A, A] that a mixer gives two agents' actions in the first step, and their own values.

    mac_out: [B, T, 2, A], or [B, T, 2, A, quantiles]; batch: an EpisodeBatch with `state`.
    """
    import torch

    size, n_actions = batch.batch_size, mac_out.shape[3]
    first = mac_out[:size, :1]
    joint = torch.zeros(n_actions, n_actions)
    with torch.no_grad():
        for i in range(n_actions):
            for j in range(n_actions):
                chosen = torch.stack([first[:, :, 0, i], first[:, :, 1, j]], dim=2)
                joint[i, j] = mixer(chosen, batch["state"][:size, :1]).mean()
    own = first.detach().flatten(4).mean(-1) if first.dim() == 5 else first.detach()
    torch.set_printoptions(precision=1, sci_mode=False)
    print(joint)
    print(own.mean(dim=(0, 1)).cpu())
    torch.set_printoptions(profile="default")
