"""The world model: legality of what it imagines, likelihoods by hand, and that it really learns a game's rules."""

import pytest
import torch

from modules.world_models import Context, ObsBlocks, StateLayout, WorldModel
from utils.errors import UserError

N, M, A = 2, 2, 8
ALLY, ENEMY = ("health", "energy/cooldown", "rel_x", "rel_y"), ("health", "rel_x", "rel_y")
BLOCKS = ObsBlocks(4, (M, 5), (N - 1, 5), 1)
STATE = N * 4 + M * 3 + N * A


def model_of(trunk="entity", ensemble=1, units=True):
    torch.manual_seed(0)
    layout = StateLayout(N, A, STATE, ALLY, M, ENEMY, BLOCKS) if units else StateLayout(N, A, STATE)
    hidden = [16] if trunk == "entity" else [16, 16, 8]
    model = WorldModel(layout, BLOCKS.size, trunk, hidden, memory=8, bins=41, ensemble=ensemble)
    model.histogram.fit(torch.tensor([[-0.5] * len(layout.features), [0.1] * len(layout.features)]))
    return model


def some_states(rows, seed=0):
    state = torch.rand(rows, STATE, generator=torch.Generator().manual_seed(seed))
    state[:, 4:8] = 0  # the second agent is dead
    return state


def test_message_passing_without_units_is_refused_in_words():
    with pytest.raises(UserError, match="recurrent"):
        model_of("entity", units=False)


@pytest.mark.parametrize(("trunk", "units"), [("entity", True), ("recurrent", True), ("recurrent", False)])
@pytest.mark.parametrize("ensemble", [1, 3])
def test_what_is_imagined_is_legal_and_consistent(trunk, units, ensemble):
    model, generator = model_of(trunk, ensemble, units), torch.Generator().manual_seed(1)
    context = model.contexts(some_states(32).unsqueeze(1))
    actions = torch.randint(0, A, (32, N), generator=generator)
    for _ in range(4):
        imagined = model.imagine_step(context, actions, generator)
        assert imagined.avail_actions.any(-1).all()
        assert torch.isfinite(imagined.obs).all() and torch.isfinite(imagined.reward).all()
        assert torch.equal(model.layout.tokens(imagined.state), imagined.tokens)
        if units:
            alive = model.layout.alive(imagined.tokens)
            assert not (alive & ~model.layout.alive(context.tokens)).any(), "nobody comes back from the dead"
            assert (imagined.tokens[~alive] == 0).all()
            dead = ~alive[:, :N]
            assert dead[:, 1].all()
            assert imagined.avail_actions[dead][:, 0].all() and not imagined.avail_actions[dead][:, 1:].any()
            assert not imagined.avail_actions[~dead][:, 0].any()
            assert (imagined.obs[dead] == 0).all()
        context = model.advance(context, imagined.tokens)


def test_imagination_leaves_no_graph():
    model = model_of()
    imagined = model.imagine_step(
        model.contexts(some_states(3).unsqueeze(1)),
        torch.ones(3, N, dtype=torch.long),
        torch.Generator().manual_seed(0),
    )
    assert not any(part.requires_grad for part in imagined)


def test_death_counts_with_the_probability_that_health_runs_out():
    model = model_of()
    tokens = model.layout.tokens(some_states(1))
    tokens[0, 2, 0] = 0.3
    after = tokens.clone()
    after[0, 2] = 0
    uniform = torch.full((1, N + M, 4, 41), 1 / 41).log()
    counted = model.comparable(tokens, after)
    assert counted[0, 2].tolist() == [True, False, False, False]
    assert not counted[0, 1].any()
    centres = model.histogram.centres[0]
    n_fatal = int((0.3 + centres <= 0.5 * model.histogram.width[0]).sum())
    expected_death = -torch.log(torch.tensor(n_fatal / 41))
    n_living = int(counted.sum()) - 1
    expected = (expected_death + n_living * torch.log(torch.tensor(41.0))) / (n_living + 1)
    assert model.change_loss(uniform, tokens, after).item() == pytest.approx(expected.item(), rel=1e-5)


def test_moments_of_a_certain_prediction_are_that_prediction():
    model = model_of()
    context = model.contexts(some_states(2).unsqueeze(1))
    log_probs = torch.full((1, 2, N + M, 4, 41), -1e4)
    log_probs[..., 30] = 0.0
    mean, std = model.moments(context, log_probs)
    expected = context.tokens + model.histogram.centres[:, 30]
    expected[..., 0].clamp_(0, 1)
    expected *= model.layout.alive(context.tokens).unsqueeze(-1)
    present = model.layout.present.expand_as(expected)
    assert torch.allclose(mean[0][present], expected[present], atol=1e-5) and std.max() < 1e-3


def test_moments_are_those_of_the_bins_with_health_between_nothing_and_all():
    model = model_of(ensemble=2)
    context = model.contexts(some_states(3).unsqueeze(1))
    log_probs = torch.randn(2, 3, N + M, 4, 41, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    mean, std = model.moments(context, log_probs)
    values = context.tokens.unsqueeze(-1) + model.histogram.centres * model.predicted.unsqueeze(-1)
    values[:, :, 0] = values[:, :, 0].clamp(0.0, 1.0)
    expected = (log_probs.exp() * values).sum(-1)
    deviation = (log_probs.exp() * (values - expected.unsqueeze(-1)).square()).sum(-1).sqrt()
    alive = model.layout.alive(context.tokens).unsqueeze(-1)
    assert torch.allclose(mean, expected * alive, atol=1e-6)
    assert torch.allclose(std, deviation * alive, atol=1e-3)


@pytest.mark.parametrize("n_units", [4, 6, 7, 8])
@torch.no_grad()
def test_every_unit_hears_the_gated_sum_of_the_others_values(n_units):
    """Of the living ones; also where units are padded for speed."""
    trunk = model_of().trunk
    generator = torch.Generator().manual_seed(n_units)
    columns = torch.randn(3, n_units, 3 * 16, generator=generator)
    relation = torch.randn(8, 3, n_units, n_units, generator=generator)
    alive = torch.rand(3, n_units, generator=generator) < 0.7
    query, key, value = columns.view(3, n_units, 3, 8, 2).unbind(2)
    gate = (torch.einsum("nihd,njhd->hnij", query, key) / 2**0.5 + relation).sigmoid() * alive.unsqueeze(1)
    heard = torch.einsum("hnij,njhd->nihd", gate, value).flatten(2) / n_units**0.5
    assert torch.allclose(trunk._listen(columns, relation.flatten(0, 1), alive), heard, atol=1e-6)


def test_relations_are_the_mlp_of_every_pair():
    trunk = model_of().trunk
    tokens, target = torch.randn(3, N + M, 4), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]] * 3)
    difference = tokens.unsqueeze(1) - tokens.unsqueeze(2)
    targets = trunk.layout.targets(target)
    distance = difference[..., trunk.layout.position_columns].norm(dim=-1)
    pairs = torch.cat([difference, torch.stack([distance, targets, targets.transpose(1, 2)], dim=-1)], dim=-1)
    expected = trunk.relate(pairs).unflatten(-1, (2, 8)).permute(3, 4, 0, 1, 2)
    for step, relation in enumerate(trunk._relations(tokens, target)):
        assert torch.allclose(relation, expected[step].flatten(0, 1), atol=1e-6)


def test_contexts_along_a_sequence_equal_those_made_step_by_step():
    for trunk in ("entity", "recurrent"):
        model = model_of(trunk)
        states = torch.stack([some_states(3, seed) for seed in range(4)], dim=1)
        whole = model.contexts(states)
        context = model.contexts(states[:, :1])
        for t in range(1, 4):
            context = model.advance(context, model.layout.tokens(states[:, t]))
        for one, other in zip(whole.rows(torch.tensor([3, 7, 11])), context, strict=True):
            assert torch.allclose(one, other, atol=1e-6)


def test_equal_units_are_treated_alike_in_whatever_order_they_come():
    model = model_of()
    state = some_states(5)
    state[:, 4:8] = torch.rand(5, 4, generator=torch.Generator().manual_seed(9))
    tokens = model.layout.tokens(state)
    swapped = tokens[:, [0, 1, 3, 2]]
    none = torch.zeros(5, 0)
    known = torch.zeros(5, dtype=torch.bool)
    first = model.predict(Context(tokens, tokens, known, none), torch.tensor([[6, 1]] * 5))
    second = model.predict(Context(swapped, swapped, known, none), torch.tensor([[7, 1]] * 5))
    assert torch.allclose(first[:, :, [0, 1, 3, 2]], second, atol=1e-5)


def test_it_learns_that_an_attack_takes_health_from_its_target():
    """A made-up game: attack k takes 0.2 of enemy k's health, north moves the agent by 0.05; nothing else happens."""
    generator = torch.Generator().manual_seed(0)
    model = model_of()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def game(rows):
        tokens = torch.rand(rows, N + M, 4, generator=generator) * 0.5 + 0.45
        tokens = tokens * model.layout.present
        actions = torch.randint(1, A, (rows, N), generator=generator)
        after = tokens.clone()
        for k in range(M):
            after[:, N + k, 0] -= 0.2 * (actions == 6 + k).sum(1)
        after[:, :N, 3] += 0.05 * (actions == 2)
        return tokens, actions, after

    tokens, actions, after = game(512)
    model.fit_scales(tokens, after, torch.rand(512, generator=generator))
    for _ in range(150):
        tokens, actions, after = game(64)
        context = Context(tokens, tokens, torch.zeros(64, dtype=torch.bool), tokens.new_zeros(64, 0))
        loss = model.change_loss(model.predict(context, actions)[0], tokens, after).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tokens, actions, after = game(256)
    context = Context(tokens, tokens, torch.zeros(256, dtype=torch.bool), tokens.new_zeros(256, 0))
    error = model.moments(context, model.predict(context, actions))[0][0] - after
    change = after - tokens
    assert (error[:, N:, 0].square().sum() / change[:, N:, 0].square().sum()).item() < 0.05
    assert (error[:, :N, 3].square().sum() / change[:, :N, 3].square().sum()).item() < 0.1


def test_a_medivac_may_heal_whom_the_decoder_says_and_never_the_dead():
    layout = StateLayout(N, A, STATE, ALLY, M, ENEMY, BLOCKS, healers=[1])
    model = WorldModel(layout, BLOCKS.size, hidden=[16], bins=21)
    with torch.no_grad():
        model.decoder.heal[-1].weight.zero_()
        model.decoder.heal[-1].bias.fill_(5.0)
        model.decoder.enemy[-1].weight[-1] = 0.0
        model.decoder.enemy[-1].bias[-1] = -50.0
    tokens = layout.tokens(torch.rand(4, STATE, generator=torch.Generator().manual_seed(0)))
    tokens[0, 0] = 0.0  # the first agent is dead in one state
    targets = model.view(tokens)[1][:, :, A - M :]
    assert not targets[:, 0].any(), "no enemy can be attacked"
    assert targets[1:, 1].all(), "every living agent can be healed"
    assert targets[0, 1].tolist() == [False, True]
