"""MAPPO's critic: the recurrent trunk over the global state, one row per agent, with death masking.

With the agent's own observation in place of the state it is IPPO's: a value of what the agent itself sees.
Where nothing in the input tells the agents apart (no id, no own observation, no death mask), their rows would be equal:
then the critic computes one row and every agent reads it.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from components.frames import stack_frames
from modules.recurrent_trunk import RecurrentTrunk, orthogonal_linear
from utils.errors import UserError


def alive_from_avail(avail_actions: Tensor) -> Tensor:
    """Who lives (bool [...]), from action masks [..., A]: SMAC's dead, and only they, have no choice but no-op (0)."""
    return (avail_actions[..., 1:] != 0).any(-1)


class PPOCritic(nn.Module):
    """Recurrent value function of the global state, of the agents' own observations, or of both.

    Reads `args.hidden_layers`, `args.rnn_hidden_dim`, `args.n_agents` and, each with a default,
    `critic_state` (True): see the global state;
    `critic_agent_id` (True): add the agent's one-hot id;
    `critic_obs` (False): add the agent's own observation;
    `critic_death_mask` (True): a dead agent's row is zeros and its id;
    `frame_stack` (1): see that many frames of the state and of observations, the newest first;
    `critic_heads` (1): values per row, for returns that are estimated apart.
    """

    ids: Tensor

    def __init__(self, scheme: dict[str, Any], args: SimpleNamespace, extra: int = 0, heads: int | None = None) -> None:
        """`extra`: width of what a subclass appends to the input rows; `heads`: outputs in place of `critic_heads`."""
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.state = bool(getattr(args, "critic_state", True))
        self.agent_id = bool(getattr(args, "critic_agent_id", True))
        self.own_obs = bool(getattr(args, "critic_obs", False))
        if not (self.state or self.own_obs):
            raise UserError("critic_state and critic_obs are False: the critic would see nothing. Set one to True.")
        self.death_mask = bool(getattr(args, "critic_death_mask", True))
        self.frame_stack: int = getattr(args, "frame_stack", 1)
        frame = _width(scheme["state"]["vshape"]) * self.state + _width(scheme["obs"]["vshape"]) * self.own_obs
        size = extra + self.frame_stack * frame + self.n_agents * self.agent_id
        layers = getattr(args, "hidden_layers", [args.rnn_hidden_dim] * 2)
        self.trunk = RecurrentTrunk(size, layers, args.rnn_hidden_dim)
        heads = getattr(args, "critic_heads", 1) if heads is None else heads
        self.head = orthogonal_linear(self.trunk.output_size, heads)
        self.register_buffer("ids", torch.eye(self.n_agents), persistent=False)

    @property
    def n_rows(self) -> int:
        """Rows per time step: one for every agent, or 1 where all would be equal."""
        return self.n_agents if self.agent_id or self.own_obs or self.death_mask else 1

    def assemble(self, state: Tensor, obs: Tensor | None, alive: Tensor) -> Tensor:
        """Input rows [..., n_rows, d] from state [..., ds], obs [..., n, do] (for `critic_obs`) and alive [..., n].

        State and observations come stacked, where they are.
        """
        parts = [state.unsqueeze(-2).expand(*state.shape[:-1], self.n_rows, state.shape[-1])] if self.state else []
        if self.own_obs:
            if obs is None:
                raise ValueError("critic_obs is set: the critic needs the observations")
            parts.append(obs)
        rows = torch.cat(parts, dim=-1)
        if self.death_mask:
            rows = rows * alive.unsqueeze(-1)
        if self.agent_id:
            rows = torch.cat([rows, self.ids.expand(*rows.shape[:-1], self.n_agents)], dim=-1)
        return rows

    def batch_inputs(self, batch: Any) -> Tensor:
        """Input rows [B, T, n_rows, d] of all frames of an EpisodeBatch, on the critic's device."""
        device = self.ids.device
        alive = alive_from_avail(batch["avail_actions"].to(device))
        obs = stack_frames(batch["obs"].to(device), self.frame_stack) if self.own_obs else None
        return self.assemble(stack_frames(batch["state"].to(device), self.frame_stack), obs, alive)

    def forward(self, batch: Any, t: int | None = None) -> Tensor:
        """Values [B, T, n, heads] of an EpisodeBatch, or [B, 1, n, heads] of step t (run from the episode's start)."""
        until = batch["state"].shape[1] if t is None else t + 1
        values = self.forward_sequence(self.batch_inputs(batch)[:, :until])[0]
        values = values.expand(-1, -1, self.n_agents, -1)
        return values if t is None else values[:, -1:]

    def forward_sequence(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Whole sequences: inputs [B, T, n_rows, d], hidden [B, n_rows, H] -> values [B, T, n_rows, heads], hidden."""
        batch, time, n_rows, width = inputs.shape
        rows = inputs.transpose(0, 1).reshape(time, batch * n_rows, width)
        start = None if hidden is None else hidden.reshape(batch * n_rows, self.trunk.rnn_size)
        features, last = self.trunk.sequence(rows, start)
        values = self.head(features).view(time, batch, n_rows, -1).transpose(0, 1)
        return values, last.view(batch, n_rows, self.trunk.rnn_size)

    def forward_packed(self, inputs: Tensor, batch_sizes: list[int], hidden: Tensor | None = None) -> Tensor:
        """Ragged sequences: inputs [R, d], batch_sizes [T], hidden [S, H] or None -> values [R, heads]."""
        return self.head(self.trunk.packed(inputs, batch_sizes, hidden))


def _width(vshape: int | tuple[int, ...]) -> int:
    return vshape if isinstance(vshape, int) else vshape[0]
