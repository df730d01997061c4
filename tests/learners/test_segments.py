"""Stretches of experience, real and imagined: what the policy gets of them, by hand and against MAPPO's own path."""

import copy

import pytest
import torch

from learners.imagination import memory_before
from learners.segments import policy_inputs, segments_of
from modules.critics.ppo_critic import alive_from_avail
from utils.errors import UserError
from utils.rl_utils import build_gae_targets, build_vtrace_targets


def one_value_head(values):
    return values[..., :1]


def test_vtrace_with_equal_policies_is_gae():
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(3, 5, 1, generator=generator), torch.randn(3, 6, 1, generator=generator)
    mask = torch.ones(3, 5, 1)
    mask[1, 3:] = 0
    terminated = torch.zeros(3, 5, 1)
    terminated[1, 2] = 1
    ours = build_vtrace_targets(rewards, terminated, mask, values, torch.ones(3, 5, 1), 0.9, 0.8)
    theirs = build_gae_targets(rewards, mask, values, 0.9, 0.8, terminated)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_vtrace_by_hand():
    """Two steps, ratio 1/2 at each, values 1, 2, 4, rewards 1 and 3, gamma 1/2, lambda 1."""
    rewards, values = torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 2.0, 4.0]])
    zeros, ones = torch.zeros(1, 2), torch.ones(1, 2)
    advantages, targets = build_vtrace_targets(rewards, zeros, ones, values, ones * 0.5, 0.5, 1.0)
    last = 3 + 0.5 * 4 - 2  # 3
    first = 1 + 0.5 * 2 - 1  # 1
    assert targets[0, 1].item() == pytest.approx(2 + 0.5 * last)
    assert targets[0, 0].item() == pytest.approx(1 + 0.5 * first + 0.5 * 0.5 * (0.5 * last))
    assert advantages[0, 1].item() == pytest.approx(last)
    assert advantages[0, 0].item() == pytest.approx(first + 0.5 * (0.5 * last))


def test_ratios_above_one_are_truncated():
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 4, generator=generator), torch.randn(2, 5, generator=generator)
    zeros, ones = torch.zeros(2, 4), torch.ones(2, 4)
    plain = build_vtrace_targets(rewards, zeros, ones, values, ones, 0.9, 0.9)
    large = build_vtrace_targets(rewards, zeros, ones, values, ones * 7, 0.9, 0.9)
    assert all(torch.equal(one, other) for one, other in zip(plain, large, strict=True))


@pytest.fixture
def parts_and_batch(build):
    parts = build()
    batch = parts.runner.run(test_mode=False)
    parts.buffer.insert_episode_batch(batch)
    return parts, batch


@pytest.mark.parametrize("masks", [{}, {"policy_active_mask": False}, {"value_active_mask": True}])
@pytest.mark.parametrize("rows", [{}, {"critic_agent_id": True, "critic_death_mask": True}])
def test_real_episodes_as_segments_give_mappos_own_update_data(build, masks, rows):
    parts = build(**masks, **rows)
    batch = parts.runner.run(test_mode=False)
    learner = parts.learner
    segments = segments_of(batch, learner.device, learner.mac.agent.trunk.rnn_size, learner.critic)
    ours = learner.prepare(segments, on_policy=True)
    theirs = super(type(learner), learner).data_of(batch)
    assert torch.equal(ours.actor_inputs, theirs.actor_inputs)
    assert torch.equal(ours.policy_mask, theirs.policy_mask) and torch.equal(ours.value_mask, theirs.value_mask)
    assert torch.equal(ours.critic_inputs, theirs.critic_inputs)
    counted = ours.policy_mask
    assert torch.allclose(ours.old_log_probs[counted], theirs.old_log_probs[counted], atol=1e-6)
    assert torch.allclose(
        one_value_head(ours.returns)[ours.value_mask], one_value_head(theirs.returns)[ours.value_mask], atol=1e-5
    )


def test_memory_before_a_step_is_what_stepping_there_gives(parts_and_batch):
    parts, batch = parts_and_batch
    agent = parts.mac.agent
    segments = segments_of(batch, torch.device("cpu"), agent.trunk.rnn_size, parts.learner.critic)
    inputs = policy_inputs(parts.mac, segments.obs, segments.previous_actions)
    n_rows, _, n_agents, _ = inputs.shape
    hidden = torch.zeros(n_rows * n_agents, agent.trunk.rnn_size)
    for t in range(6):
        memory = memory_before(agent.trunk, inputs, torch.full((n_rows,), t))
        assert torch.allclose(memory.flatten(0, 1), hidden, atol=1e-6)
        hidden = agent.trunk.step(inputs[:, t].flatten(0, 1), hidden)[1]


def test_starts_are_real_frames_with_their_own_history(parts_and_batch):
    parts, batch = parts_and_batch
    imagination = parts.learner.imagination
    starts = imagination.starts(parts.buffer, 50)
    states, critic = batch["state"], parts.learner.critic
    alive = alive_from_avail(batch["avail_actions"])
    inputs = critic.assemble(states, batch["obs"], alive)
    n_rows, n_steps = inputs.shape[:2]
    memory = torch.stack(
        [memory_before(critic.trunk, inputs, torch.full((n_rows,), t)) for t in range(n_steps)], dim=1
    )
    for row in range(50):
        same = (states == starts.state[row]).all(-1).nonzero()
        assert len(same), "every start is a frame of a real episode"
        fits = [
            torch.allclose(memory[b, t], starts.critic_hidden[row], atol=1e-5)
            and (t == 0 or torch.equal(batch["actions"][b, t - 1, :, 0], starts.previous_actions[row]))
            for b, t in same.tolist()
        ]
        assert any(fits)


def test_imagined_rollouts_record_the_policy_that_acted(build):
    parts = build()
    for number in range(2):
        batch = parts.runner.run(test_mode=False)
        parts.buffer.insert_episode_batch(batch)
        parts.learner.train(copy.deepcopy(batch), 100 * (number + 1), number)
    learner = parts.learner
    own = learner.imagination.rollout(learner.imagination.starts(parts.buffer, 16), 4)
    data = learner.prepare(own, on_policy=False)
    counted = data.policy_mask
    assert torch.allclose(data.old_log_probs[counted], own.behaviour_log_probs[counted], atol=1e-4)
    assert torch.allclose(data.weights[counted], torch.ones(int(counted.sum())), atol=1e-4)
    index = torch.arange(16) % 4
    theirs = learner.imagination.rollout(learner.imagination.starts(parts.buffer, 16), 4, learner.evolution, index)
    weights = learner.prepare(theirs, on_policy=False).weights
    assert (weights <= 1).all() and weights.min() < 0.99


def test_stacked_frames_are_refused(build):
    with pytest.raises(UserError, match="frame_stack=1"):
        build(frame_stack=2)
