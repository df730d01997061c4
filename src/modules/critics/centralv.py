"""A plain central critic, V(state, agent) by three linear layers: what EPyMARL's actor-critic learners expect."""

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.frames import stack_frames


class CentralVCritic(nn.Module):
    """Values of the global state, a row for every agent.

    Input: state, the agent's id, and by `args.obs_individual_obs` / `args.obs_last_action` all observations and the
    last joint action; state and observations with the frames before them by `args.frame_stack`.
    """

    def __init__(self, scheme: dict[str, Any], args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.frame_stack: int = getattr(args, "frame_stack", 1)
        self.output_type = "v"
        hidden = getattr(args, "hidden_dim", args.rnn_hidden_dim)
        self.fc1 = nn.Linear(self._input_size(scheme), hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, 1)

    def forward(self, batch: Any, t: int | None = None) -> Tensor:
        """Values [B, T, n, 1] of the whole batch, or [B, 1, n, 1] of time step t."""
        rows = F.relu(self.fc1(self._build_inputs(batch, t)))
        return self.fc3(F.relu(self.fc2(rows)))

    def _build_inputs(self, batch: Any, t: int | None) -> Tensor:
        times = slice(None) if t is None else slice(t, t + 1)
        state = stack_frames(batch["state"], self.frame_stack)[:, times]
        n_batch, n_times = state.shape[:2]
        shared = [state]
        if getattr(self.args, "obs_individual_obs", False):
            shared.append(stack_frames(batch["obs"], self.frame_stack)[:, times].flatten(2))
        if getattr(self.args, "obs_last_action", False):
            onehot = batch["actions_onehot"].flatten(2).float()
            before = torch.cat([torch.zeros_like(onehot[:, :1]), onehot[:, :-1]], dim=1)
            shared.append(before[:, times])
        rows = torch.cat(shared, dim=-1).unsqueeze(2).expand(-1, -1, self.n_agents, -1)
        ids = torch.eye(self.n_agents, device=state.device).expand(n_batch, n_times, -1, -1)
        return torch.cat([rows, ids], dim=-1)

    def _input_size(self, scheme: dict[str, Any]) -> int:
        size = self.frame_stack * _width(scheme["state"]["vshape"]) + self.n_agents
        if getattr(self.args, "obs_individual_obs", False):
            size += self.frame_stack * _width(scheme["obs"]["vshape"]) * self.n_agents
        if getattr(self.args, "obs_last_action", False):
            size += _width(scheme["actions_onehot"]["vshape"]) * self.n_agents
        return size


def _width(vshape: int | tuple[int, ...]) -> int:
    return vshape if isinstance(vshape, int) else vshape[0]
