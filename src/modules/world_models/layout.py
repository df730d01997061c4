"""How a flat global state is made of entities: the view of the state that the world model works on.

SMAC's `get_env_info()` names the columns of an ally's and of an enemy's row (`agent_features`, `enemy_features`), so a
state can be read as one *token* per unit. An environment that names nothing is read as a single token that holds the
whole state. Observations are split in the same way where the environment tells its blocks (`obs_blocks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

HEALTH = "health"
POSITION = ("rel_x", "rel_y")


@dataclass(frozen=True)
class ObsBlocks:
    """Columns of one agent's observation: `before`, one row per enemy, one row per other ally, `after`."""

    before: int
    enemy_rows: tuple[int, int]
    ally_rows: tuple[int, int]
    after: int

    @property
    def size(self) -> int:
        """Length of the whole observation."""
        return (
            self.before + self.enemy_rows[0] * self.enemy_rows[1] + self.ally_rows[0] * self.ally_rows[1] + self.after
        )


class StateLayout(nn.Module):
    """Converts states [..., d_s] to unit tokens [..., U, F] and back.

    Tokens are ordered as SMAC orders units: agents 0..n-1, then enemies 0..m-1. `features` are the agents' column
    names; a column that enemies do not have stays 0. A unit whose `health` is 0 is dead and its token is all zeros.
    """

    index: Tensor
    present: Tensor
    heals: Tensor

    def __init__(
        self,
        n_agents: int,
        n_actions: int,
        state_dim: int,
        agent_features: tuple[str, ...] = (),
        n_enemies: int = 0,
        enemy_features: tuple[str, ...] = (),
        obs_blocks: ObsBlocks | None = None,
        healers: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.n_agents, self.n_actions, self.state_dim = n_agents, n_actions, state_dim
        unit_columns = n_agents * len(agent_features) + n_enemies * len(enemy_features)
        # behind the units' rows: the last actions, a time step, both, or neither; anything else is no state of units
        extra = (0, 1, n_agents * n_actions, n_agents * n_actions + 1)
        self.has_units = HEALTH in agent_features and state_dim - unit_columns in extra
        if self.has_units:
            self.n_enemies = n_enemies
            self.features = tuple(agent_features)
            index = _unit_columns(n_agents, n_enemies, agent_features, enemy_features)
            has_last_action = state_dim >= unit_columns + n_agents * n_actions
            self.last_action_start = unit_columns if has_last_action else -1
            self.obs_blocks = obs_blocks
        else:
            self.n_enemies = 0
            self.features = tuple(f"state_{i}" for i in range(state_dim))
            index = torch.arange(state_dim).unsqueeze(0)
            self.last_action_start = -1
            self.obs_blocks = None
        self.register_buffer("index", torch.where(index < 0, state_dim, index), persistent=False)
        self.register_buffer("present", index >= 0, persistent=False)
        self.healers = tuple(healers)
        heals = torch.zeros(n_agents, dtype=torch.bool)
        heals[list(healers)] = True
        self.register_buffer("heals", heals, persistent=False)

    @classmethod
    def from_args(cls, args: SimpleNamespace) -> StateLayout:
        """Layout of the environment that a run's `args` describe (`args.env_info`)."""
        info: dict[str, Any] = args.env_info
        blocks = info.get("obs_blocks")
        return cls(
            n_agents=info["n_agents"],
            n_actions=info["n_actions"],
            state_dim=int(info["state_shape"]),
            agent_features=tuple(info.get("agent_features", ())),
            n_enemies=int(info.get("n_enemies", 0)),
            enemy_features=tuple(info.get("enemy_features", ())),
            obs_blocks=None if blocks is None else ObsBlocks(**blocks),
            healers=info.get("healers", ()),
        )

    @property
    def n_tokens(self) -> int:
        """U: number of units, or 1 where the state has no units."""
        return int(self.index.shape[0])

    @property
    def n_features(self) -> int:
        """F: columns of a token."""
        return len(self.features)

    @property
    def n_target_actions(self) -> int:
        """How many of the last actions name a unit (SMAC: one per enemy); 0 where the state has no units."""
        return self.n_enemies if self.has_units else 0

    @property
    def position_columns(self) -> list[int]:
        """Token columns that hold coordinates; empty where the features name none."""
        return [self.features.index(name) for name in POSITION if name in self.features]

    @property
    def health_column(self) -> int:
        """Token column of health, -1 where the state has no units."""
        return self.features.index(HEALTH) if self.has_units else -1

    def tokens(self, state: Tensor) -> Tensor:
        """State [..., d_s] -> tokens [..., U, F]."""
        padded = torch.cat([state, state.new_zeros(*state.shape[:-1], 1)], dim=-1)
        return padded[..., self.index]

    def targets(self, target: Tensor) -> Tensor:
        """Who does something to whom: the agents' choices of target actions [..., n, m] -> [..., U, U].

        A healer's k-th target action names agent k, any other agent's enemy k.
        """
        n_agents, n_units = self.n_agents, self.n_tokens
        pairs = target.new_zeros(*target.shape[:-2], n_units, n_units)
        if not self.n_target_actions:
            return pairs
        heals = self.heals.to(target.dtype).unsqueeze(-1)
        pairs[..., :n_agents, n_agents:] = target * (1 - heals)
        if self.healers:
            named = min(n_agents, self.n_target_actions)
            pairs[..., :n_agents, :named] = (target * heals)[..., :named]
        return pairs

    def alive(self, tokens: Tensor) -> Tensor:
        """Tokens [..., U, F] -> bool [..., U]."""
        if not self.has_units:
            return torch.ones(tokens.shape[:-1], dtype=torch.bool, device=tokens.device)
        return tokens[..., self.health_column] > 0

    def state(self, tokens: Tensor, actions: Tensor) -> Tensor:
        """Tokens [..., U, F] and the joint action that led to them [..., n] -> state [..., d_s]."""
        padded = tokens.new_zeros(*tokens.shape[:-2], self.state_dim + 1)
        padded[..., self.index.flatten()] = tokens.flatten(-2)
        state = padded[..., : self.state_dim]
        if self.last_action_start >= 0:
            one_hot = nn.functional.one_hot(actions, self.n_actions).to(state.dtype).flatten(-2)
            state[..., self.last_action_start : self.last_action_start + one_hot.shape[-1]] = one_hot
        return state


def _unit_columns(
    n_agents: int, n_enemies: int, agent_features: tuple[str, ...], enemy_features: tuple[str, ...]
) -> Tensor:
    """State column of every token feature [U, F]; -1 where a unit has no such column."""
    n_ally_columns, n_enemy_columns = len(agent_features), len(enemy_features)
    rows = [[unit * n_ally_columns + column for column in range(n_ally_columns)] for unit in range(n_agents)]
    start = n_agents * n_ally_columns
    for unit in range(n_enemies):
        first = start + unit * n_enemy_columns
        rows.append([first + enemy_features.index(f) if f in enemy_features else -1 for f in agent_features])
    return torch.tensor(rows)
