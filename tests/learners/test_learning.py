"""Every algorithm learns: short trainings on 3m, far above an untrained team and above what simple scripts get there.

The quick ones run by default, the others with `make test-long`. Two things are kept apart. All learn: the last episodes
of a short training are above whatever attacks without having learned. And those that get so far in 300,000 steps win
more than SMAC's own script, which knows how to fight and wins most battles.
"""

import pytest
from short_training import Training, returns_of_training

from configuration import compose, overlay_names
from skirmish.battles import Battles
from skirmish.playing import Script, play
from skirmish.policies import Kite, Priority, UniformRandom, priorities

UNTRAINED, LEARNED = 3.0, 4.0  # returns on 3m: below the one at first, above the other in the end
EPISODES = 80  # over which both are taken

long = (pytest.mark.long,)
STEPS = {  # environment steps; those that are not long run by default
    "mappo": (6_000, ()),
    "mappo_8x10": (6_000, long),
    "ippo": (6_000, ()),
    "happo": (8_000, ()),
    "qmix": (8_000, ()),
    "vdn": (8_000, ()),
    "amal": (7_000, long),
    "coma": (30_000, long),
    "cw_qmix": (10_000, long),
    "hatrpo": (20_000, long),
    "ia2c": (25_000, long),
    "iql": (25_000, long),
    "iql_pymarl": (30_000, long),
    "maa2c": (20_000, long),
    "mappo_4x4": (16_000, long),
    "mappo_distil": (10_000, long),
    "mappo_ns": (10_000, long),
    "mappo_paper": (24_000, long),
    "ow_qmix": (10_000, long),
    "qatten": (12_000, long),
    "qmix_pymarl": (30_000, long),
    "qplex": (10_000, long),
    "qtran": (30_000, long),
    "vdn_pymarl": (30_000, long),
}

# Exploration ends sooner than in the overlays, which are made for longer trainings; later where a step learns less.
EPSILON_ANNEAL = {"iql_pymarl": 15_000, "qmix_pymarl": 15_000, "qtran": 20_000, "vdn_pymarl": 15_000}

# maddpg and masac: test_central_critic_training.py; ablation/ and thesis/: settings of amal and mappo_distil;
# whether amal_paper learns 3m has not been measured.
ELSEWHERE = ("ablation/", "amal_paper", "maddpg", "masac", "thesis/")


def test_all_overlays_are_here():
    discrete = [name for name in overlay_names("algs") if not name.startswith(ELSEWHERE)]
    assert sorted(STEPS) == discrete


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, (_, marks) in STEPS.items()])
def test_a_short_training_is_far_above_an_untrained_team(name, tmp_path):
    keys = compose(name, "sc2")
    sooner = {"epsilon_anneal_time": EPSILON_ANNEAL.get(name, 5_000)} if "epsilon_anneal_time" in keys else {}
    returns = returns_of_training(name, tmp_path, STEPS[name][0], **sooner)
    batches = max(round(EPISODES / keys["batch_size_run"]), 1)
    assert sum(returns[:batches]) / batches < UNTRAINED
    assert sum(returns[-batches:]) / batches > LEARNED


def test_what_has_not_learned_stays_below():
    battles = Battles("3m", n_battles=128, seed=1)
    n_actions = battles.get_env_info()["n_actions"]
    attack = priorities(3)["attack first, stop"]

    def mean_return(policy):
        return play(battles, policy).episode_return.mean()

    assert mean_return(UniformRandom(1)) < UNTRAINED
    for policy in (Priority(attack, n_actions), Kite()):
        assert mean_return(policy) < LEARNED


# Environment steps, above what the slowest seed needed (docs/results). Who is missing here did not get there with every
# seed within 300,000 steps, or late: maddpg, after up to 242,691.
LIMITS = {
    "mappo_8x10": 40_000,
    "ippo": 140_000,
    "mappo_ns": 100_000,
    "mappo_distil": 140_000,
    "hatrpo": 140_000,
    "ia2c": 180_000,
    "maa2c": 180_000,
    "ow_qmix": 260_000,
    "qatten": 260_000,
    "qtran": 260_000,
}


@pytest.mark.long
@pytest.mark.parametrize("name", LIMITS)
def test_more_battles_are_won_than_by_smacs_own_script(name, tmp_path):
    script = play(Battles("3m", n_battles=256, seed=1, heuristic_ai=True), Script()).won.mean()
    assert 0.8 < script < 0.95
    training, above = Training(name, tmp_path), [False]
    for steps in range(4_000, LIMITS[name] + 1, max(4_000, LIMITS[name] // 20)):
        training.until(steps)
        above.append(training.win_rate(64) > script)
        if all(above[-2:]):
            break
    training.close()
    assert above[-2:] == [True, True], f"no two tests in a row above {script:.0%} in {LIMITS[name]} steps"
