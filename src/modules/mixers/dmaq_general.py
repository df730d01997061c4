"""QPLEX: duplex dueling, which can represent every joint value that respects individual maxima (Wang et al., 2021)."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor, nn

from modules.mixers.dmaq_si_weight import DMAQ_SI_Weight
from modules.mixers.hypernet import mlp, state_size


class DMAQer(nn.Module):
    """Q_tot = sum_i Q_i + sum_i (lambda_i - 1) A_i over transformed Q_i = w_i(s) Q_i + b_i(s), with w_i > 0.

    `forward` gives the first sum with `is_v=True` and the second one otherwise; their sum is Q_tot. Reads `n_agents`,
    `n_actions`, `state_shape`, `hypernet_embed`, `weighted_head` (False: no transformation), `is_minus_one` (False:
    lambda_i in place of lambda_i - 1) and the keys of `DMAQ_SI_Weight`.
    """

    reads_actions = True

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.state_dim = state_size(args)
        self.is_weighted: bool = getattr(args, "weighted_head", True)
        self.is_minus_one: bool = getattr(args, "is_minus_one", True)
        self.hyper_w_final = mlp(self.state_dim, args.hypernet_embed, self.n_agents)
        self.V = mlp(self.state_dim, args.hypernet_embed, self.n_agents)
        self.si_weight = DMAQ_SI_Weight(args)

    def forward(
        self,
        agent_qs: Tensor,
        states: Tensor,
        actions: Tensor | None = None,
        max_q_i: Tensor | None = None,
        is_v: bool = False,
    ) -> Tensor:
        """[B, T, 1] from `agent_qs` [B, T, n] and `states` [B, T, d].

        The advantages' part also needs the one-hot `actions` [B, T, n, A] and the agents' maxima `max_q_i` [B, T, n];
        no gradient flows through its agents' values.
        """
        n_batch, n_steps, _ = agent_qs.shape
        states = states.reshape(-1, self.state_dim)
        weight = self.hyper_w_final(states).abs() + 1e-10
        qs = agent_qs.reshape(-1, self.n_agents)
        if is_v:
            values = weight * qs + self.V(states) if self.is_weighted else qs
            return values.sum(-1).view(n_batch, n_steps, 1)
        if actions is None or max_q_i is None:
            raise ValueError("the advantages' part needs actions and max_q_i")
        # The transformation's offset cancels in the difference.
        advantages = qs - max_q_i.reshape(-1, self.n_agents)
        advantages = (weight * advantages if self.is_weighted else advantages).detach()
        importance = self.si_weight(states, actions) - (1.0 if self.is_minus_one else 0.0)
        return (advantages * importance).sum(-1).view(n_batch, n_steps, 1)
