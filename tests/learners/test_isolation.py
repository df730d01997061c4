"""AMAL's theorem, to the bit: for given real data nothing that the auxiliaries do changes the world model."""

import copy

import pytest
import torch

from components.asymmetric_buffer import AuxiliaryData, MixedData, PrimaryData, ProvenanceError

ROUNDS = 6


def theta(parts):
    return {name: value.clone() for name, value in parts.learner.world_model.model.state_dict().items()}


def phi(parts):
    return torch.cat([p.detach().flatten().clone() for p in parts.mac.parameters()])


def assert_equal_models(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), f"{name} differs"


@pytest.fixture
def real_batches(build):
    """A fixed sequence of real batches, for learners that differ to be fed alike."""
    parts = build()
    return [copy.deepcopy(parts.runner.run(test_mode=False)) for _ in range(ROUNDS)]


def feed(parts, batches, before_each=lambda parts: None):
    """Train on the batches as the loop does; returns theta after each round."""
    steps, trace = 0, []
    for number, batch in enumerate(batches):
        before_each(parts)
        steps += int(batch["filled"].sum()) - batch.batch_size
        parts.buffer.insert_episode_batch(batch)
        parts.learner.train(batch, steps, number)
        trace.append(theta(parts))
    return trace


def test_theta_is_bitwise_the_same_with_and_without_auxiliaries_while_phi_differs(build, real_batches):
    many = build(world_model_first_updates=40)
    none = build(world_model_first_updates=40, num_auxiliary_agents=0, mi_policies="noise", imagination_updates=0)
    with_auxiliaries, without = feed(many, real_batches), feed(none, real_batches)
    assert many.learner.world_model.updates == none.learner.world_model.updates >= 50
    assert many.buffer.auxiliary_steps() > 0
    for ours, theirs in zip(with_auxiliaries, without, strict=True):
        assert_equal_models(ours, theirs)
    assert not torch.equal(phi(many), phi(none))


def poison(value):
    """Overwrites everything that the auxiliaries stored so far by rollouts whose numbers are all `value`."""

    def act(parts):
        if not parts.buffer.auxiliary_steps():
            return
        rows = parts.buffer.sample_auxiliary(12, torch.Generator().manual_seed(1)).tensors
        poisoned = {
            name: torch.full_like(tensor, value) if name in ("state", "obs", "reward") else tensor
            for name, tensor in rows.items()
            if name != "source"
        }
        for i in range(parts.buffer.n_auxiliary):
            parts.buffer.add_auxiliary(i, AuxiliaryData(poisoned))

    return act


@pytest.mark.parametrize("value", [1e30, -1e30])
def test_huge_numbers_in_the_auxiliary_buffers_reach_phi_bounded_and_theta_not_at_all(build, real_batches, value):
    clean, poisoned = build(), build()
    ours = feed(clean, real_batches)
    theirs = feed(poisoned, real_batches, before_each=poison(value))
    for one, other in zip(ours, theirs, strict=True):
        assert_equal_models(one, other)
    assert not torch.equal(phi(clean), phi(poisoned))
    assert torch.isfinite(phi(poisoned)).all()


def test_nan_is_an_error_before_it_reaches_phi(build, real_batches):
    parts = build()
    feed(parts, real_batches[:3])
    before = phi(parts)
    with pytest.raises(ValueError, match="NaN"):
        poison(float("nan"))(parts)
    assert torch.equal(before, phi(parts))


@pytest.mark.parametrize("kind", [AuxiliaryData, MixedData])
def test_the_world_model_refuses_what_is_not_real(build, real_batches, kind):
    parts = build()
    parts.buffer.insert_episode_batch(real_batches[0])
    data = parts.buffer.sample_primary(4, 2, torch.Generator().manual_seed(0))
    before = theta(parts)
    with pytest.raises(ProvenanceError, match=kind.__name__):
        parts.learner.world_model.update(kind(dict(data.tensors)))
    assert_equal_models(before, theta(parts))
    assert parts.learner.world_model.update(PrimaryData(data.tensors))["change_nll"] > 0


def test_policy_critic_and_information_leave_no_gradient_in_theta(build, real_batches):
    parts = build()
    feed(parts, real_batches[:3])
    learner = parts.learner
    for parameter in learner.world_model.model.parameters():
        parameter.grad = None
    learner._imagine(t_env=500)
    own = learner.imagination.rollout(learner.imagination.starts(parts.buffer, 8), 4)
    learner.trainer.update(learner._ppo_data(learner._informed(own, 500), on_policy=True), learner.settings)
    assert all(parameter.grad is None for parameter in learner.world_model.model.parameters())
    assert all(parameter.grad is not None for parameter in learner.critic.parameters())


def test_resume_in_the_middle_gives_the_same_theta_and_phi(build, real_batches):
    whole, first, second = build(), build(), build()
    feed(whole, real_batches)
    feed(first, real_batches[:3])
    state = {"learner": first.learner, "mac": first.mac, "buffer": first.buffer}
    saved = {name: copy.deepcopy(part.state_dict()) for name, part in state.items()}
    for name, part in {"learner": second.learner, "mac": second.mac, "buffer": second.buffer}.items():
        part.load_state_dict(saved[name])
    steps = sum(int(b["filled"].sum()) - b.batch_size for b in real_batches[:3])
    for number, batch in enumerate(real_batches[3:], start=3):
        steps += int(batch["filled"].sum()) - batch.batch_size
        second.buffer.insert_episode_batch(batch)
        second.learner.train(batch, steps, number)
    assert_equal_models(theta(whole), theta(second))
    assert torch.equal(phi(whole), phi(second))


def test_the_shadow_model_agrees_exactly(build, real_batches):
    parts = build(isolation_shadow=True)
    feed(parts, real_batches[:4])
    assert parts.learner.shadow.updates == parts.learner.world_model.updates > 0
    measures = parts.learner._model_measures()
    assert measures["isolation_kl"] == 0.0
    assert measures["shadow_nll"] == measures["model_nll"]
    with torch.no_grad():
        parts.learner.shadow.model.change.weight.mul_(1.5)
    assert parts.learner._isolation_kl() > 1e-6


def test_global_random_numbers_do_not_reach_theta(build, real_batches):
    calm, disturbed = build(), build()
    ours = feed(calm, real_batches)
    theirs = feed(disturbed, real_batches, before_each=lambda parts: torch.randn(7))
    for one, other in zip(ours, theirs, strict=True):
        assert_equal_models(one, other)
