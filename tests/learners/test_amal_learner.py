"""AMAL's learner: horizons by measured error, and real episodes learned from again."""

import copy

import pytest
import torch

from configuration import compose
from learners.amal_learner import trusted_horizon


def measured(*errors):
    return {f"model_open_loop_{steps}": error for steps, error in zip((1, 5, 10, 15), errors, strict=False)}


@pytest.mark.parametrize(
    ("errors", "horizon"),
    [
        ((0.2, 0.3, 0.4, 0.5), 15),
        ((0.2, 0.3, 1.2, 0.5), 5),
        ((0.2, 0.3, 0.4, 1.2), 10),
        ((0.2, 1.2, 0.4, 0.5), 1),
        ((1.2, 1.2, 1.2, 1.2), 1),
        ((0.2, 0.3), 15),
        ((), 15),
    ],
)
def test_rollouts_are_as_long_as_the_model_was_measured_to_be_right(errors, horizon):
    assert trusted_horizon(measured(*errors), 1.0, 15) == horizon
    assert trusted_horizon(measured(*errors), 1.0, 8) == min(horizon, 8)
    assert trusted_horizon(measured(*errors), 0.0, 15) == 15


def run_rounds(parts, n, first=0, steps=0):
    for number in range(first, first + n):
        batch = parts.runner.run(test_mode=False)
        steps += int(batch["filled"].sum()) - batch.batch_size
        parts.buffer.insert_episode_batch(batch)
        parts.learner.train(batch, steps, number)
    return steps


def test_the_share_of_the_information_in_the_reward_falls_to_nothing(build):
    parts = build(lambda_info=0.3, information_anneal_share=1.0)
    run_rounds(parts, 4)
    learner = parts.learner
    segments, _ = learner._rollouts(parts.buffer)
    informed = learner._informed(segments, 0)
    bonus, reward = float(informed.information.abs().sum()), float((segments.reward * segments.mask).abs().sum())
    assert learner.information.stats()["information_share"] == pytest.approx(bonus / (bonus + reward), rel=1e-5)
    assert bonus > 0
    assert learner._informed(segments, learner.args.t_max) is segments
    assert learner.information.stats() == {"information_lambda": 0.0, "information_share": 0.0}


def test_an_untrusted_model_shortens_the_rollouts(build):
    parts = build(imagination_max_error=1e-6)
    run_rounds(parts, 5)
    assert parts.learner.horizon == 1
    own, theirs = parts.learner._rollouts(parts.buffer)
    assert own.mask.shape[1] == 1
    assert theirs.mask.shape[1] == 5, "stored rollouts keep one length"


def test_imagined_steps_heed_the_average_of_the_real_gradients(build):
    with_it, without = build(gradient_surgery=0.5), build(gradient_surgery=0.0)
    for parts in (with_it, without):
        run_rounds(parts, 1)
    first = with_it.learner.real_gradient
    assert first.norm() > 0 and without.learner.real_gradient is None
    seen = []
    compute = with_it.learner.trainer.policy_gradient
    with_it.learner.trainer.policy_gradient = lambda *args: seen.append(compute(*args)) or seen[-1]
    guides = []
    update = with_it.learner.trainer.update
    with_it.learner.trainer.update = lambda *args: guides.append(args[2:]) or update(*args)
    run_rounds(with_it, 1)
    average = with_it.learner.real_gradient
    assert torch.allclose(average, 0.5 * first + 0.5 * seen[0], atol=1e-7)
    assert guides[0] == () and len(guides) > 1, "real updates are not guided, and imagined ones followed"
    assert all(guide is average for (guide,) in guides[1:])


def test_earlier_batches_count_with_the_policy_that_played_them(build):
    parts = build(reuse_batches=2, imagination_updates=0, num_auxiliary_agents=0, mi_policies="noise")
    run_rounds(parts, 4)
    learner = parts.learner
    assert len(learner.past) == 2
    data = [learner._ppo_data(segments, on_policy=False) for segments in learner.past]
    for segments, part in zip(learner.past, data, strict=True):
        ratio = (part.old_log_probs - segments.behaviour_log_probs).exp()[part.policy_mask]
        assert torch.allclose(part.weights[part.policy_mask], ratio.clamp(max=1.0), atol=1e-6)
        assert (ratio != 1).any(), "the policy has changed since"


def test_reuse_changes_the_policy_and_survives_a_resume(build):
    whole, plain, second = build(reuse_batches=2), build(), build(reuse_batches=2)
    batches = [copy.deepcopy(build().runner.run(test_mode=False)) for _ in range(5)]

    def feed(parts, some, steps=0):
        for number, batch in enumerate(some):
            steps += int(batch["filled"].sum()) - batch.batch_size
            parts.buffer.insert_episode_batch(batch)
            parts.learner.train(batch, steps, number)
        return torch.cat([p.detach().flatten().clone() for p in parts.mac.parameters()]), steps

    expected, _ = feed(whole, batches)
    assert not torch.equal(expected, feed(plain, batches)[0])
    first = build(reuse_batches=2)
    _, steps = feed(first, batches[:3])
    for ours, theirs in ((first.learner, second.learner), (first.mac, second.mac), (first.buffer, second.buffer)):
        theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    assert torch.equal(feed(second, batches[3:], steps)[0], expected)


def test_amal_and_mappo_are_compared_with_the_same_networks():
    amal, mappo = compose("amal", "sc2"), compose("mappo", "sc2")
    networks = ("agent", "mac", "hidden_layers", "rnn_hidden_dim", "policy_gain", "obs_agent_id", "obs_last_action")
    critics = ("critic_type", "critic_agent_id", "critic_obs", "critic_death_mask", "use_value_norm")
    tests = ("test_nepisode", "test_greedy", "test_interval", "stop_win_rate", "stop_evaluations")
    assert {key: amal[key] for key in networks + critics + tests} == {
        key: mappo[key] for key in networks + critics + tests
    }
