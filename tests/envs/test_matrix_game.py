"""Matrix games and the display of what a mixer makes of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from envs.matrix_game import PAYOFFS, MatrixGame, print_matrix_status


def test_one_step_pays_from_the_table_and_ends():
    game = MatrixGame()
    for i in range(3):
        for j in range(3):
            game.reset()
            assert game.step([i, j]) == (PAYOFFS["one_step"][i][j], True, {"battle_won": (i, j) == (0, 0)})


def test_two_step_pays_from_the_table_that_agent_0_chose():
    game = MatrixGame(game="two_step")
    for first in range(2):
        game.reset()
        assert game.get_state().tolist() == [1, 0, 0]
        assert game.step([first, 1 - first])[:2] == (0.0, False)
        assert game.get_state().tolist() == [0, 1 - first, first]
        assert game.step([1, 1])[:2] == (PAYOFFS["two_step"][first][1][1], True)


def test_a_table_with_three_axes_has_three_agents():
    game = MatrixGame(payoff=np.arange(27.0).reshape(3, 3, 3))
    game.reset()
    assert game.n_agents == 3
    assert game.step([2, 1, 0])[:2] == (21.0, True)


@pytest.mark.parametrize(
    ("env_args", "message"),
    [
        ({"game": "two_stp"}, 'There is no matrix game "two_stp". Did you mean "two_step"?'),
        ({"pay_off": [[1]]}, 'There is no environment argument "pay_off". Did you mean "payoff"?'),
        ({"payoff": [[1, 2, 3], [1, 2, 3]]}, "must be a table [A, A]"),
        ({"payoff": [[1, 2], [3]]}, "must be a table [A, A]"),
        ({"payoff": [[1, float("nan")], [1, 1]]}, "of finite numbers"),
        ({"game": "two_step", "payoff": [[1, 2], [3, 4]]}, "must be a list of A tables"),
    ],
)
def test_wrong_arguments_are_refused(env_args, message):
    with pytest.raises(ValueError) as caught:
        MatrixGame(**env_args)
    assert message in str(caught.value)


def test_an_action_that_does_not_exist_is_named():
    game = MatrixGame()
    game.reset()
    with pytest.raises(ValueError, match="Agent 1 cannot take action 3"):
        game.step([0, 3])


@pytest.mark.parametrize("quantiles", [None, 4])
def test_the_status_shows_joint_and_own_values(capsys, quantiles):
    own = torch.tensor([[1.5, 2.5, 3.5], [10.0, 20.0, 30.0]])
    mac_out = own.expand(5, 2, 2, 3)
    if quantiles:
        mac_out = mac_out.unsqueeze(-1).expand(5, 2, 2, 3, quantiles)

    class Batch(SimpleNamespace):
        def __getitem__(self, key):
            return torch.zeros(5, 2, 1)

    seen = []

    def mixer(chosen, state):
        seen.append(chosen.shape)
        return chosen.sum(dim=2)

    print_matrix_status(Batch(batch_size=5), mixer, mac_out)
    printed = capsys.readouterr().out
    assert set(seen) == {(5, 1, 2) if quantiles is None else (5, 1, 2, quantiles)}
    for row in ("11.5, 21.5, 31.5", "13.5, 23.5, 33.5", "10.0, 20.0, 30.0"):
        assert row in printed
