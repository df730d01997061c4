"""Acting with a trained team from Python: the same actions as in the run that trained it, whatever the algorithm."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from actors import load_actor
from configuration import compose
from controllers import REGISTRY as controllers
from controllers.basic_controller import BasicMAC
from modules.agents import REGISTRY as agents
from modules.agents.rnn_agent import RNNAgent
from run import actor_file, assembly
from utils.errors import UserError
from utils.logging import Logger, get_logger
from utils.seeding import seed_everything

EPISODES = 5
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def trained(tmp_path):
    """`trained(name, **keys)` -> the parts of a run with random weights, on 2m_vs_1m, and its actor's file."""
    runners = []

    def make(name, env="sc2", **keys):
        config = compose(name, env) | {"seed": 4, "device": "cpu", "batch_size_run": EPISODES} | keys
        config["env_args"] = config["env_args"] | ({"map_name": "2m_vs_1m"} if env == "sc2" else {}) | {"seed": 4}
        args = SimpleNamespace(**config)
        seed_everything(4)
        parts = assembly.build(args, Logger(get_logger()), tmp_path)
        runners.append(parts.runner)
        with torch.no_grad():
            for p in parts.mac.parameters():
                p.add_(0.3 * torch.randn_like(p))
        path = actor_file.write(tmp_path / "team.pt", parts.mac, config, args.env_info, 700)
        return parts, path

    yield make
    for runner in runners:
        runner.close_env()


def episodes(parts):
    """Greedy test episodes: observations and availability with a no-op in ended episodes, actions, what is real."""
    batch = parts.runner.run(test_mode=True)
    steps = batch["filled"][:, 1:, 0] != 0
    avail = batch["avail_actions"].clone()
    avail[..., 0] |= ~(avail != 0).any(-1)
    return batch["obs"].numpy(), avail.numpy(), batch["actions"][..., 0].numpy(), steps.numpy()


FAMILIES = [
    ("qmix", {}),
    ("qmix", {"frame_stack": 3}),
    ("qmix_pymarl", {"agent": "attention", "frame_stack": 2}),
    ("vdn", {"mac": "non_shared_mac"}),
    ("mappo", {}),
    ("mappo", {"frame_stack": 4, "rnn_hidden_dim": 0}),
    ("mappo", {"agent": "ff", "obs_last_action": True}),
    ("mappo_ns", {}),
    ("coma", {}),
    ("maddpg", {}),
    ("masac", {}),
    ("amal", {}),
]


@pytest.mark.parametrize(("name", "keys"), FAMILIES)
def test_a_loaded_team_acts_as_the_trained_one(trained, name, keys):
    parts, path = trained(name, **keys)
    team = load_actor(path)
    for _ in range(2):  # the second reset forgets the first episodes
        obs, avail, actions, steps = episodes(parts)
        team.reset(EPISODES)
        for t in range(steps.shape[1]):
            ours = team.act(obs[:, t], avail[:, t])
            assert ours.shape == (EPISODES, 2)
            assert np.array_equal(ours[steps[:, t]], actions[:, t][steps[:, t]])


def test_continuous_actions_are_rows_of_numbers(trained):
    pytest.importorskip("mpe2")
    parts, path = trained("maddpg", "pettingzoo", batch_size_run=1)
    team = load_actor(path)
    batch = parts.runner.run(test_mode=True)
    for t in range(3):
        expected = batch["actions"][0, t].numpy()
        assert expected.shape == (team.n_agents, team.n_actions)
        assert np.array_equal(team.act(batch["obs"][0, t], batch["avail_actions"][0, t]), expected)


@pytest.mark.parametrize(("name", "keys"), [("qmix", {"frame_stack": 2}), ("mappo_ns", {"obs_last_action": True})])
def test_episodes_may_begin_at_different_times(trained, name, keys):
    parts, path = trained(name, **keys)
    obs, avail, actions, steps = episodes(parts)
    team = load_actor(path)
    team.reset(EPISODES)
    late = np.array([1, 3])
    for t in range(3):
        team.act(obs[:, t], avail[:, t])
    team.restart(late)
    for t in range(3, steps.shape[1]):
        shown, possible, expected, real = (array[:, t].copy() for array in (obs, avail, actions, steps))
        for array, source in zip((shown, possible, expected, real), (obs, avail, actions, steps)):
            array[late] = source[late, t - 3]
        ours = team.act(shown, possible)
        assert np.array_equal(ours[real], expected[real])
    other = load_actor(path)
    other.reset(EPISODES)
    other.restart(np.isin(np.arange(EPISODES), late))
    assert np.array_equal(other.act(obs[:, 0], avail[:, 0]), actions[:, 0])


def test_one_episode_needs_no_axis_of_its_own(trained):
    parts, path = trained("mappo")
    obs, avail, actions, _ = episodes(parts)
    team = load_actor(path)
    assert np.array_equal(team.act(obs[0, 0], avail[0, 0]), actions[0, 0])
    assert team.act(obs[:1, 1], avail[:1, 1]).shape == (1, 2)


def test_an_episode_may_outlast_the_limit_it_was_trained_with(trained):
    parts, path = trained("qmix")
    obs, avail, _, _ = episodes(parts)
    team = load_actor(path)
    team.reset(EPISODES)
    limit = team.env_info["episode_limit"]
    team._make_room(limit + 1)
    assert team._batch.max_seq_length == 2 * (limit + 1)
    short = load_actor(path)
    short.env_info["episode_limit"] = 1
    short.reset(EPISODES)
    for t in range(8):
        assert np.array_equal(short.act(obs[:, t], avail[:, t]), team.act(obs[:, t], avail[:, t]))


def test_draws_differ_and_can_be_repeated(trained):
    parts, path = trained("mappo")
    obs, avail, _, _ = episodes(parts)

    def draws(seed):
        team = load_actor(path, seed)
        team.reset(EPISODES)
        return np.stack([team.act(obs[:, 0], avail[:, 0], explore=True) for _ in range(10)])

    assert np.array_equal(draws(1), draws(1))
    assert not np.array_equal(draws(1), draws(2))
    assert np.take_along_axis(avail[None, :, 0].repeat(10, 0), draws(1)[..., None], -1).all()


def test_arrays_of_other_sizes_are_refused(trained):
    _, path = trained("mappo")
    team = load_actor(path)
    team.reset(3)
    with pytest.raises(ValueError, match=r"obs has the shape \[2, 2, 7\], but the 3 episodes .* need \[3, 2, "):
        team.act(np.zeros((2, 2, 7)))
    with pytest.raises(ValueError, match="avail has the shape"):
        team.act(np.zeros((3, 2, team.obs_shape)), np.ones((3, 2, 99)))


def test_a_team_says_what_it_is(trained):
    _, path = trained("mappo")
    team = load_actor(path)
    assert repr(team).startswith("<Team of mappo on 2m_vs_1m, 700 steps: 2 agents, 7 actions, ")
    assert team.t_env == 700
    assert team.config["env_args"]["map_name"] == "2m_vs_1m"


@pytest.fixture
def run_programs_of(tmp_path, monkeypatch, capsys):
    """`run_programs_of(page)` -> how many Python programs a page of the documentation has, and what they print."""

    def run(page):
        monkeypatch.chdir(tmp_path)
        programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
        for program in programs:
            exec(program, {})
        return len(programs), capsys.readouterr().out

    return run


def test_the_programs_in_the_documentation_run(trained, run_programs_of):
    pytest.importorskip("gymnasium")
    trained("mappo")
    count, out = run_programs_of("acting.md")
    assert count == 3
    assert "of 32 battles won" in out
    assert re.search(r"^(True|False)$", out, re.MULTILINE)
    assert re.search(r"^\d+ of 2\d battles won$", out, re.MULTILINE)


def test_so_does_the_one_of_continuous_actions(trained, run_programs_of):
    pytest.importorskip("mpe2", reason="python -m pip install -r requirements-envs.txt")
    trained("maddpg", env="pettingzoo")
    count, out = run_programs_of("pettingzoo.md")
    assert count == 1
    assert re.search(r"^return -\d+\.\d$", out, re.MULTILINE)


class OwnInputs(BasicMAC):
    """A plug-in's controller, which goes through all episodes at each step."""

    def _build_inputs(self, batch, t):
        return super()._build_inputs(batch, t)


def test_a_plug_ins_parts_are_found_once_they_are_there(trained, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(agents, "mine", RNNAgent)
        patch.setitem(controllers, "own_inputs", OwnInputs)
        parts, path = trained("qmix", agent="mine", mac="own_inputs", plugins=["my_ideas"])
        obs, avail, actions, steps = episodes(parts)
        team = load_actor(path)
        team.reset(EPISODES)
        for t in range(steps.shape[1]):
            ours = team.act(obs[:, t], avail[:, t])
            assert np.array_equal(ours[steps[:, t]], actions[:, t][steps[:, t]])
    with pytest.raises(UserError, match=r'there is no mac "own_inputs" here\. It was trained with plugins=my_ideas'):
        load_actor(path)
