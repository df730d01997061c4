"""MADDPG: deterministic policies that climb a central critic (Lowe et al. 2017, arXiv 1706.02275).

Discrete actions are drawn by Gumbel-softmax, whose relaxation lets the critic's gradient through to the policy.
"""

from torch import Tensor

from learners.central_critic import AHEAD, NOW, CentralCriticLearner, Steps, choosing
from learners.replay_learner import means


class MADDPGLearner(CentralCriticLearner):
    """Reads the keys of config/algs/maddpg.yaml."""

    def _act(self, outputs: Tensor, avail: Tensor) -> Tensor:
        """Action vectors [..., A] that gradients flow through."""
        if self.mac.continuous:
            return outputs.tanh() * (avail != 0)
        return self._draw(outputs, avail)[0]

    def _next_values(self, data: Steps) -> Tensor:
        """The target critics' least value of what the target policies do."""
        actions = self._act(self._outputs(self.target_mac, data, AHEAD), data.avail[:, AHEAD])
        values: Tensor = self.targets["critic"](data.state[:, AHEAD], actions)
        return values.amin(-1, keepdim=True)

    def _actor_loss(self, data: Steps) -> tuple[Tensor, dict[str, Tensor]]:
        outputs, avail = self._outputs(self.mac, data, NOW), data.avail[:, NOW]
        values = self._values_of(data, self._act(outputs, avail))
        counts = (data.mask * choosing(avail, self.mac.continuous)) if values.shape[-1] > 1 else data.mask
        loss = -(values * counts).sum() / counts.sum().clamp(min=1.0)
        has = data.mask.unsqueeze(-1) * (avail != 0)
        size = (outputs.square() * has).sum() / has.sum().clamp(min=1.0)
        statistics = means(counts, pi_value_mean=values) | {"policy_size": size.detach().sqrt()}
        return loss + self.args.policy_regularisation * size, statistics
