"""QTRAN: an unrestricted joint action-value and state value beside the sum of the agents' (Son et al., 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from components.episode_buffer import EpisodeBatch
from modules.mixers.hypernet import mlp, state_size

DEPTHS = {"small": 2, "big": 3}


class QTranBase(nn.Module):
    """Q(s, u) and V(s) of QTRAN-base.

    Reads `n_agents`, `n_actions`, `state_shape`, `mixing_embed_dim`, `network_size` ("small": two hidden layers,
    "big": three) and `qtran_arch`: "coma_critic" (state and joint action go in) or "qtran_paper" (state and the sum
    of encoded hidden states and actions, needs `rnn_hidden_dim`).
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.n_actions: int = args.n_actions
        self.state_dim = state_size(args)
        self.embed_dim: int = args.mixing_embed_dim
        self.arch: str = args.qtran_arch
        hidden = _hidden_sizes(args)
        if self.arch == "coma_critic":
            joint_size = self.n_agents * self.n_actions
        elif self.arch == "qtran_paper":
            joint_size = args.rnn_hidden_dim + self.n_actions
            self.action_encoding = mlp(joint_size, joint_size, joint_size)
        else:
            raise ValueError(f'qtran_arch must be coma_critic or qtran_paper, not "{self.arch}"')
        self.Q = mlp(self.state_dim + joint_size, *hidden, 1)
        self.V = mlp(self.state_dim, *hidden, 1)

    def forward(
        self, batch: EpisodeBatch | Mapping[str, Tensor], hidden_states: Tensor | None, actions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Q and V, both [B T, 1], for one-hot `actions` [B, T, n, A] (None: those taken).

        `hidden_states` [B, T, n, H] are needed by "qtran_paper" only.
        """
        taken = batch["actions_onehot"] if actions is None else actions
        states = batch["state"].reshape(-1, self.state_dim)
        taken = taken.reshape(len(states), self.n_agents, self.n_actions)
        if self.arch == "coma_critic":
            joint = taken.flatten(1)
        else:
            if hidden_states is None:
                raise ValueError('qtran_arch "qtran_paper" needs the agents\' hidden states')
            hidden_states = hidden_states.reshape(len(states), self.n_agents, -1)
            joint = self.action_encoding(torch.cat((hidden_states, taken), dim=-1)).sum(1)
        return self.Q(torch.cat((states, joint), dim=-1)), self.V(states)


class QTranAlt(nn.Module):
    """Q(s, u) of QTRAN-alt: for every agent the values of all its actions, given what the others did, and V(s).

    Reads the keys of `QTranBase` but `qtran_arch`: the others' actions and the agent's number go in beside the state.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.n_actions: int = args.n_actions
        self.state_dim = state_size(args)
        hidden = _hidden_sizes(args)
        self.Q = mlp(self.state_dim + self.n_agents * self.n_actions + self.n_agents, *hidden, self.n_actions)
        self.V = mlp(self.state_dim, *hidden, 1)

    def forward(
        self,
        batch: EpisodeBatch | Mapping[str, Tensor],
        hidden_states: Tensor | None = None,
        actions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Q [B, T, n, A] and V [B, T, 1] for one-hot `actions` [B, T, n, A] (None: those taken)."""
        taken = batch["actions_onehot"] if actions is None else actions
        states = batch["state"]
        n_batch, n_steps = states.shape[:2]
        ids = torch.eye(self.n_agents, dtype=taken.dtype, device=taken.device)
        # Axes [B, T, agent asked, agent that acts, A]: the asked agent's own action is blanked.
        others = taken.unsqueeze(2) * (1 - ids).unsqueeze(-1)
        inputs = torch.cat(
            (
                states.reshape(n_batch, n_steps, 1, -1).expand(-1, -1, self.n_agents, -1),
                others.flatten(3),
                ids.expand(n_batch, n_steps, -1, -1),
            ),
            dim=-1,
        )
        return self.Q(inputs), self.V(states.reshape(n_batch, n_steps, -1))


def _hidden_sizes(args: SimpleNamespace) -> list[int]:
    if args.network_size not in DEPTHS:
        raise ValueError(f'network_size must be small or big, not "{args.network_size}"')
    return [args.mixing_embed_dim] * DEPTHS[args.network_size]
