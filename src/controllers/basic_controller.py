"""The controller that shares one network among all agents: observations in, actions out.

PyMARL's interface, and beside it what makes it fast: `select_actions` runs the network on the asked-for episodes alone,
`forward_sequence` runs it on all time steps in one call.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.action_selectors import REGISTRY as action_REGISTRY
from components.action_selectors import masked_logits
from components.continuous_selectors import REGISTRY as continuous_REGISTRY
from components.episode_buffer import EpisodeBatch
from components.frames import latest_frames, stack_frames
from modules.agents import REGISTRY as agent_REGISTRY
from modules.unroll import takes_agent_axis, unroll
from utils.errors import UserError, nearest

Rows: TypeAlias = slice | Sequence[int] | Tensor


class BasicMAC:
    """All agents act by one network; they tell each other apart by `obs_agent_id` and may see `obs_last_action`.

    With `frame_stack` above 1 each sees that many of its observations, the newest first.
    `agent_output_type: q` makes `forward` give Q-values, `pi_logits` probabilities over the available actions.
    """

    def __init__(self, scheme: dict[str, Any], groups: dict[str, int] | None, args: SimpleNamespace) -> None:
        self.n_agents: int = args.n_agents
        self.n_actions: int = args.n_actions
        self.args = args
        self.agent_output_type: str = getattr(args, "agent_output_type", "q")
        self.continuous: bool = getattr(args, "continuous_actions", False)
        self.frame_stack: int = getattr(args, "frame_stack", 1)
        self.input_shape = self._get_input_shape(scheme)
        self.action_selector: Any = self._selector()(args)
        self._build_agents(self.input_shape)
        self.save_probs: bool = getattr(args, "save_probs", False)
        self.hidden_states: Tensor | None = None
        self._ids = torch.eye(self.n_agents)
        # A subclass that builds its inputs or runs its network in its own way is always called through `forward`.
        self._is_plain = _defined_here(type(self).forward) and _defined_here(type(self)._build_inputs)
        self.greedy_share: float = getattr(args, "greedy_share", 0.0)
        self._greedy = torch.zeros(0, dtype=torch.bool)
        if self.greedy_share and not self._can_mix_greedy():
            raise UserError(
                f"greedy_share={self.greedy_share} needs a controller that samples from logits (mac=basic_mac, "
                "action_selector=multinomial, agent_output_type=pi_logits, save_probs=False); use greedy_share=0."
            )

    # --- acting -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def select_actions(
        self, ep_batch: EpisodeBatch, t_ep: int, t_env: int, bs: Rows = slice(None), test_mode: bool = False
    ) -> Any:
        """Actions [rows, n] (int64) of the episodes `bs` at their step `t_ep`; the hidden states of those move on.

        Where the selector returns more than actions (`save_probs`), so does this. Tests are played by the network as it
        evaluates (`eval()`), training's episodes as it trains.
        """
        if self.agent.training == test_mode:
            self.agent.train(not test_mode)
        avail = ep_batch["avail_actions"][:, t_ep]
        if not self._is_plain:
            outputs = self.forward(ep_batch, t_ep, test_mode=test_mode)
            return self.action_selector.select_action(outputs[bs], avail[bs], t_env, test_mode=test_mode)
        rows = None if isinstance(bs, slice) and bs == slice(None) else _row_numbers(bs, ep_batch.batch_size)
        outputs = self._step(ep_batch, t_ep, rows)
        avail = (avail if rows is None else avail[rows]).to(outputs.device)
        if self.agent_output_type == "pi_logits" and not self.continuous:
            if hasattr(self.action_selector, "select_from_logits") and not self.save_probs:
                greedy = None
                if self.greedy_share and not test_mode:
                    greedy = self._greedy_rows(t_ep, rows, ep_batch.batch_size).to(outputs.device)
                return self.action_selector.select_from_logits(outputs, avail, t_env, test_mode, greedy)
            outputs = masked_logits(outputs, avail).softmax(-1)
        return self.action_selector.select_action(outputs, avail, t_env, test_mode=test_mode)

    def _can_mix_greedy(self) -> bool:
        samples = hasattr(self.action_selector, "select_from_logits") and not (self.save_probs or self.continuous)
        return samples and self._is_plain and self.agent_output_type == "pi_logits"

    def _greedy_rows(self, t_ep: int, rows: Tensor | None, n_episodes: int) -> Tensor:
        """Which of the episodes `rows` (None: all) are played greedily, bool [rows]; chosen anew as they begin."""
        everyone = torch.arange(n_episodes) if rows is None else rows
        if t_ep == 0:
            if len(self._greedy) != n_episodes:
                self._greedy = torch.zeros(n_episodes, dtype=torch.bool)
            self._greedy[everyone] = self.action_selector.evenly(self.greedy_share, n_episodes)[everyone]
        return self._greedy[everyone]

    def init_hidden(self, batch_size: int) -> None:
        """Hidden states of `batch_size` fresh episodes."""
        hidden = self.agent.init_hidden()
        self.hidden_states = None if hidden is None else hidden.unsqueeze(0).repeat(batch_size, self.n_agents, 1)

    def forward(self, ep_batch: EpisodeBatch, t: int, test_mode: bool = False) -> Tensor:
        """Q-values, or probabilities, [B, n, A] of all episodes at step t; moves their hidden states on."""
        outputs = self._step(ep_batch, t, None)
        if self.agent_output_type == "pi_logits" and not self.continuous:
            outputs = masked_logits(outputs, ep_batch["avail_actions"][:, t].to(outputs.device)).softmax(-1)
        return outputs

    def _step(self, batch: EpisodeBatch, t: int, rows: Tensor | None) -> Tensor:
        """Raw outputs [rows, n, A] of step t."""
        inputs = self._build_inputs(batch, t) if rows is None else self._inputs_of_rows(batch, t, rows)
        inputs = inputs.to(self.device)
        hidden = self.hidden_states
        if rows is not None and hidden is not None:
            hidden = hidden[rows]
        n_rows = inputs.shape[0]
        outputs, hidden = self.agent(inputs if self.agent_axis else inputs.flatten(0, 1), hidden)
        if hidden is not None:
            hidden = hidden.reshape(n_rows, self.n_agents, -1)
            if rows is None:
                self.hidden_states = hidden
            elif self.hidden_states is not None:
                self.hidden_states[rows] = hidden
        return outputs.reshape(n_rows, self.n_agents, -1)

    # --- whole sequences ----------------------------------------------------------------------------------------------

    def forward_sequence(
        self, batch: EpisodeBatch, t_slice: slice = slice(None), hidden: Tensor | None = None
    ) -> Tensor:
        """Logits or Q-values [B, T, n, A] of the steps `t_slice`, starting from `hidden` [B, n, H] (None: zeros)."""
        return self.unroll(self.sequence_inputs(batch)[:, t_slice].to(self.device), hidden)[0]

    def unroll(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Raw outputs [B, T, n, A] of the network on inputs [B, T, n, d], and its last hidden state [B, n, H]."""
        return unroll(self.agent, inputs, hidden, self.agent_axis)

    def sequence_inputs(self, batch: EpisodeBatch) -> Tensor:
        """Network inputs [B, T, n, d] of all steps of a batch."""
        last = self.action_vectors(batch["actions"])
        before = torch.cat([torch.zeros_like(last[:, :1]), last[:, :-1]], dim=1)
        return self.assemble_inputs(stack_frames(batch["obs"], self.frame_stack), before)

    def assemble_inputs(self, obs: Tensor, last_actions: Tensor | None) -> Tensor:
        """Inputs [..., n, d] from observations [..., n, do] and one-hot last actions [..., n, A] (None: zeros).

        Observations come stacked, where they are.
        """
        parts = [obs]
        if self.args.obs_last_action:
            shape = (*obs.shape[:-1], self.n_actions)
            parts.append(obs.new_zeros(shape) if last_actions is None else last_actions.to(obs.dtype))
        if self.args.obs_agent_id:
            if self._ids.device != obs.device:
                self._ids = self._ids.to(obs.device)
            parts.append(self._ids.expand(*obs.shape[:-1], self.n_agents))
        return torch.cat(parts, dim=-1)

    def action_vectors(self, actions: Tensor) -> Tensor:
        """Actions as networks read them [..., n, A]: one-hot from numbers [..., n, 1], or continuous as they are."""
        return actions if self.continuous else F.one_hot(actions.squeeze(-1), self.n_actions)

    def _build_inputs(self, batch: EpisodeBatch, t: int) -> Tensor:
        """Network inputs [B, n, d] of step t."""
        return self._inputs_of_rows(batch, t, slice(None))

    def _inputs_of_rows(self, batch: EpisodeBatch, t: int, rows: slice | Tensor) -> Tensor:
        last = None
        if self.args.obs_last_action and t > 0:
            last = self.action_vectors(batch["actions"][rows, t - 1])
        return self.assemble_inputs(latest_frames(batch["obs"], t, self.frame_stack, rows), last)

    def _get_input_shape(self, scheme: dict[str, Any]) -> int:
        vshape = scheme["obs"]["vshape"]
        size: int = (vshape if isinstance(vshape, int) else vshape[0]) * self.frame_stack
        if self.args.obs_last_action:
            size += self.args.n_actions
        if self.args.obs_agent_id:
            size += self.args.n_agents
        return size

    # --- the network --------------------------------------------------------------------------------------------------

    def _build_agents(self, input_shape: int) -> None:
        make = registered(agent_REGISTRY, self.args.agent, "agent")
        self.agent: Any = make(input_shape, self._network_args())
        self.agent_axis = takes_agent_axis(self.agent, self.n_agents, input_shape)

    def _selector(self) -> Any:
        if self.continuous:
            return registered(continuous_REGISTRY, self.args.continuous_selector, "continuous selector")
        return registered(action_REGISTRY, self.args.action_selector, "action selector")

    def _network_args(self) -> SimpleNamespace:
        """`args` for the network, which makes `n_actions` outputs: several for each number of a continuous action."""
        outputs = getattr(self.action_selector, "outputs_per_action", 1) * self.n_actions
        return self.args if outputs == self.n_actions else SimpleNamespace(**{**vars(self.args), "n_actions": outputs})

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.agent.parameters()).device

    def parameters(self) -> Iterator[nn.Parameter]:
        """The network's parameters."""
        return self.agent.parameters()

    def load_state(self, other_mac: "BasicMAC") -> None:
        """Copy the network's parameters from another controller."""
        self.agent.load_state_dict(other_mac.agent.state_dict())

    def cuda(self) -> None:
        """Move the network to the GPU."""
        self.agent.cuda()

    def to(self, device: torch.device | str) -> None:
        """Move the network to `device`."""
        self.agent.to(device)

    def save_models(self, path: str | Path) -> None:
        """Write agent.th into the folder `path`."""
        torch.save(self.agent.state_dict(), Path(path) / "agent.th")

    def load_models(self, path: str | Path) -> None:
        """Read agent.th from the folder `path`."""
        state = torch.load(Path(path) / "agent.th", map_location="cpu", weights_only=True)
        self.agent.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """The network and the streams that actions are drawn from."""
        state = {"agent": self.agent.state_dict()}
        if hasattr(self.action_selector, "state_dict"):
            state["action_selector"] = self.action_selector.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.agent.load_state_dict(state["agent"])
        if "action_selector" in state:
            self.action_selector.load_state_dict(state["action_selector"])


def _defined_here(method: Callable[..., Any]) -> bool:
    return method.__module__ in (__name__, "controllers.n_controller")


def _row_numbers(bs: Rows, batch_size: int) -> Tensor:
    return torch.arange(batch_size)[bs] if isinstance(bs, slice) else torch.as_tensor(bs, dtype=torch.long)


def registered(registry: dict[str, Any], name: str, kind: str) -> Any:
    """The entry of a registry; `UserError` with the nearest name if there is none."""
    if name not in registry:
        raise UserError(f'no {kind} is called "{name}".{nearest(name, registry)} There are: {", ".join(registry)}')
    return registry[name]
