"""The official package as an environment; a package of the same interface stands in for it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from envs import REGISTRY, describe
from envs.faults import BrokenEpisodeError
from envs.sc2_install import InstallationError
from runners import resolve

PACKAGE = '''
class StarCraft2Env:
    """Loses its connection in the third step, as the official class tells it."""

    n_agents, episode_limit = 3, 60

    def __init__(self, map_name, seed, **arguments):
        self.given, self.steps, self.closed = (map_name, seed, arguments), 0, False

    def reset(self):
        return [[0.0] * 30] * 3, [0.0] * 48

    def step(self, actions):
        self.steps += 1
        if self.steps == 3:
            return 0, True, {}
        return 1.5, False, {"battle_won": False, "dead_allies": 0, "dead_enemies": 0}

    def get_stats(self):
        return {"win_rate": 0 / 0}

    def close(self):
        self.closed = True
'''


@pytest.fixture
def package(standin, tmp_path, monkeypatch):
    """Put such a package, and a game, on the paths."""
    standin(game="still")
    folder = tmp_path / "packages" / "smac" / "env"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "__init__.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "smac"]:
        del sys.modules[name]


def test_a_lost_connection_is_no_defeat(package):
    env = REGISTRY["official_smac"](map_name="3m", seed=4, step_mul=8)
    assert env._env.given == ("3m", 4, {"step_mul": 8})
    env.reset()
    for _ in range(2):
        assert env.step(np.ones(3, int))[:2] == (1.5, False)
    with pytest.raises(BrokenEpisodeError):
        env.step(np.ones(3, int))
    assert env.get_stats() == {}
    env.close()
    assert env._env.closed


def test_sizes_are_those_of_the_arrays(package):
    info = REGISTRY["official_smac"](map_name="3m").get_env_info()
    assert (info["obs_shape"], info["state_shape"], info["n_actions"]) == (30, 48, 9)
    longer = REGISTRY["official_smac"](map_name="3m", obs_timestep_number=True, obs_instead_of_state=True)
    assert (longer.get_obs_size(), longer.get_state_size()) == (32, 96)


def test_the_record_names_package_client_and_map(package):
    told = describe("official_smac", {"map_name": "3m", "seed": 3})
    assert (told["engine"], told["engine_version"], told["build"]) == (
        "official_smac",
        "unknown on 4.10.0",
        "Base75689",
    )
    args = SimpleNamespace(runner="auto", env="official_smac", batch_size_run=1, engine_info=told)
    assert resolve(args) == "parallel"


def test_without_the_package_its_command_is_given(standin, tmp_path, monkeypatch):
    standin(game="still")
    with pytest.raises(InstallationError, match=r"not installed: .*oxwhirl/smac.git"):
        describe("official_smac", {"map_name": "3m"})
    (tmp_path / "packages" / "smac").mkdir(parents=True)
    (tmp_path / "packages" / "smac" / "__init__.py").write_text("'tunes hyperparameters'")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    with pytest.raises(InstallationError, match="is another project"):
        REGISTRY["official_smac"](map_name="3m")
    sys.modules.pop("smac", None)
