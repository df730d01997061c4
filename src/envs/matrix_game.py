"""Matrix games: the smallest cooperative problems, for checking what a mixer can represent.

`one_step`: everybody chooses once, the payoff table tells the reward. `two_step`: agent 0's first choice (unpaid)
picks one of several tables, the second choices are paid from it; this is the two-step game of Rashid et al. 2018,
whose best return, 8, needs a non-additive value of the second table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.vector_game import SingleGame, VectorGame
from utils.errors import nearest

if TYPE_CHECKING:
    import torch

PAYOFFS: dict[str, Any] = {
    "one_step": [[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]],
    "two_step": [[[7.0, 7.0], [7.0, 7.0]], [[0.0, 1.0], [1.0, 8.0]]],
}
"""Default tables: the non-monotonic game of Son et al. 2019 and the two-step game of Rashid et al. 2018."""


class MatrixGames(VectorGame):
    """B matrix games of two or more agents with equally many actions.

    game: `one_step` or `two_step`; payoff: table [A, ..., A] with an axis per agent, for `two_step` a list of A such
    tables; nothing is random. State and observations are the one-hot of the table in play; a game counts as won if it
    ended with the greatest payoff. Raises ValueError for an unknown game, argument or an uneven table.
    """

    def __init__(
        self, n_battles: int = 1, seed: int = 0, game: str = "one_step", payoff: Any = None, **unknown: Any
    ) -> None:
        for name in unknown:
            hint = nearest(name, ("game", "payoff", "seed"))
            raise ValueError(f'There is no environment argument "{name}".{hint} Known: game, payoff, seed.')
        if game not in PAYOFFS:
            raise ValueError(f'There is no matrix game "{game}".{nearest(game, PAYOFFS)} Known: {", ".join(PAYOFFS)}.')
        self._payoff = _table(game, PAYOFFS[game] if payoff is None else payoff)
        self._two_steps = game == "two_step"
        self.n_agents = self._payoff.ndim - self._two_steps
        self.n_actions = self._payoff.shape[-1]
        self.episode_limit = 2 if self._two_steps else 1
        self.obs_size = self.state_size = 1 + self.n_actions if self._two_steps else 1
        super().__init__(n_battles, seed)
        self._node = np.zeros(n_battles, dtype=np.int64)
        self._paid = np.zeros(n_battles)
        self.changing |= {"node": self._node, "paid": self._paid}

    def start(self, rows: NDArray[np.int64]) -> None:
        """Begin at the first choice."""
        self._node[rows] = 0

    def play(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Play one choice of every agent."""
        choosing = (self._node[rows] == 0) & self._two_steps
        table = self._payoff[np.maximum(self._node[rows] - 1, 0)] if self._two_steps else self._payoff[None]
        which = np.arange(len(rows)) if self._two_steps else np.zeros(len(rows), dtype=np.int64)
        self._paid[rows] = np.where(choosing, 0.0, table[(which, *actions.T)])
        self._node[rows] = np.where(choosing, 1 + actions[:, 0], self._node[rows])
        return self._paid[rows], ~choosing

    def won(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which games ended with the greatest payoff."""
        best: NDArray[np.bool_] = self._paid[rows] == self._payoff.max()
        return best

    def states(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """One-hot of the table in play."""
        return np.eye(self.state_size, dtype=np.float32)[self._node[rows]]

    def observations(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The state, for every agent."""
        return np.repeat(self.states(rows)[:, None], self.n_agents, axis=1)


class MatrixGame(SingleGame):
    """One matrix game; arguments as for `MatrixGames`."""

    def __init__(self, seed: int | None = None, **arguments: Any) -> None:
        super().__init__(MatrixGames(1, seed or 0, **arguments), seed)

    @property
    def n_actions(self) -> int:
        """Number of actions of an agent."""
        return self.games.n_actions


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
