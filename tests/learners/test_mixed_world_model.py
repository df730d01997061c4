"""The corrupted world model of the ablation: it eats what auxiliaries imagined, and draws what it should."""

import copy

import pytest
import torch

from components.asymmetric_buffer import AuxiliaryData, MixedData, PrimaryData, ProvenanceError
from learners.mixed_world_model import MixedWorldModelLearner, imagined_windows
from utils.errors import UserError


def rollouts(n_steps_of_rows, horizon=6):
    """Stored rollouts whose frame t holds the number t and whose step t has action t + 1, reward t / 10."""
    n = len(n_steps_of_rows)
    frames = torch.arange(horizon + 1).float().expand(n, -1)
    steps = torch.arange(horizon).float().expand(n, -1)
    return AuxiliaryData(
        {
            "state": frames.unsqueeze(-1),
            "obs": frames.view(n, -1, 1, 1),
            "avail_actions": torch.ones(n, horizon + 1, 1, 9),
            "previous_actions": frames.long().unsqueeze(-1),
            "reward": steps / 10,
            "terminated": steps.long() == torch.tensor(n_steps_of_rows).unsqueeze(1) - 1,
            "mask": steps < torch.tensor(n_steps_of_rows).unsqueeze(1),
            "source": torch.arange(n) + 1,
        }
    )


def test_windows_lie_within_the_rollouts_and_keep_steps_and_frames_together():
    lengths = [1, 3, 6] * 20
    windows = imagined_windows(rollouts(lengths), 4, torch.Generator().manual_seed(1))
    start = windows["step"]
    assert (start < torch.tensor(lengths)).all()
    assert set(start[2::3].tolist()) == set(range(6)), "every step of a full rollout is a start"
    for t in range(4):
        real = start + t < torch.tensor(lengths)
        assert torch.equal(windows["mask"][:, t], real)
        here = (start + t)[real]
        assert torch.equal(windows["state"][real, t, 0], here.float())
        assert torch.equal(windows["state"][real, t + 1, 0], (here + 1).float())
        assert torch.equal(windows["actions"][real, t, 0], here + 1)
        assert torch.allclose(windows["reward"][real, t], here / 10)
        assert torch.equal(windows["terminated"][real, t], here == torch.tensor(lengths)[real] - 1)


@pytest.fixture
def batches(build):
    parts = build()
    return [copy.deepcopy(parts.runner.run(test_mode=False)) for _ in range(5)]


def feed(parts, batches):
    steps = 0
    for number, batch in enumerate(batches):
        steps += int(batch["filled"].sum()) - batch.batch_size
        parts.buffer.insert_episode_batch(batch)
        parts.learner.train(batch, steps, number)
    return parts.learner


def test_auxiliaries_change_the_mixed_model_and_isolation_kl_tells(build, batches):
    mixed = feed(build(world_model_data="mixed", isolation_shadow=True), batches)
    assert isinstance(mixed.world_model, MixedWorldModelLearner)
    assert mixed.world_model.updates == mixed.shadow.updates
    measures = mixed._model_measures()
    assert measures["isolation_kl"] > 1e-6
    assert measures["shadow_nll"] != measures["model_nll"]
    isolated = feed(build(isolation_shadow=True), batches)
    assert isolated._isolation_kl() == 0.0


def test_shares_of_a_mixed_draw(build, batches):
    parts = build(world_model_data="mixed", aux_ratio=0.25)
    feed(parts, batches)
    data = parts.learner.world_model._draw(parts.buffer)
    assert type(data) is MixedData
    assert int((data["source"] > 0).sum()) == round(0.25 * len(data))
    assert (data["source"] <= parts.buffer.n_auxiliary).all()
    with pytest.raises(ProvenanceError, match="AuxiliaryData"):
        parts.learner.world_model.update(AuxiliaryData(dict(data.tensors)))


def test_without_auxiliaries_the_mixed_model_draws_real_data_alone(build, batches):
    parts = build(world_model_data="mixed", num_auxiliary_agents=0, mi_policies="noise")
    feed(parts, batches)
    assert type(parts.learner.world_model._draw(parts.buffer)) is PrimaryData


def test_a_slip_of_the_pen_is_told(build):
    with pytest.raises(UserError, match='Did you mean "mixed"'):
        build(world_model_data="mixd")
