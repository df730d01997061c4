"""Every member of the policy-gradient family learns 3m: short trainings far above an untrained team."""

import pytest
from short_training import returns_of_training


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("ippo", 6_000),
        pytest.param("mappo_ns", 10_000, marks=pytest.mark.long),
        ("ia2c", 25_000),
        pytest.param("maa2c", 20_000, marks=pytest.mark.long),
        ("happo", 8_000),
        pytest.param("coma", 30_000, marks=pytest.mark.long),
        pytest.param("hatrpo", 12_000, marks=pytest.mark.long),
        pytest.param("mappo_distil", 15_000, marks=pytest.mark.long),
    ],
)
def test_a_short_training_is_far_above_an_untrained_team(name, steps, tmp_path):
    returns = returns_of_training(name, tmp_path, steps)
    assert sum(returns[:10]) / 10 < 3
    assert sum(returns[-10:]) / 10 > 4
