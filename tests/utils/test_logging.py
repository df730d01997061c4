"""PyMARL's Logger: what reaches sacred, TensorBoard and the console."""

import contextlib
import logging

import numpy as np
import pytest
import torch

from utils.logging import INFO_POINTS, Logger, ScreenHandler, get_logger


class FakeRun:
    """The two things of a sacred run that the logger uses."""

    def __init__(self):
        self.info = {}
        self.scalars = []

    def log_scalar(self, name, value, step):
        self.scalars.append((name, value, step))


@pytest.fixture
def logger():
    logger = Logger(get_logger())
    logger.setup_sacred(FakeRun())
    return logger


@pytest.mark.parametrize("value", [torch.tensor(0.5), np.float32(0.5), 0.5, torch.tensor([0.5], requires_grad=True)])
def test_every_scalar_becomes_a_float(logger, value):
    logger.log_stat("loss", value, np.int64(7))
    assert logger._run.scalars == [("loss", 0.5, 7)]
    assert [type(x) for x in logger._run.scalars[0]] == [str, float, int]


def test_info_has_pymarls_twin_lists(logger):
    logger.log_stat("test_battle_won_mean", 0.25, 100)
    logger.log_stat("test_battle_won_mean", 0.5, 200)
    assert logger._run.info == {"test_battle_won_mean": [0.25, 0.5], "test_battle_won_mean_T": [100, 200]}


def test_info_lists_stay_bounded_and_keep_their_shape(logger):
    for t in range(20 * INFO_POINTS):
        logger.log_stat("x", t, t)
    values, steps = logger._run.info["x"], logger._run.info["x_T"]
    assert INFO_POINTS / 2 <= len(values) < INFO_POINTS
    assert values == steps
    assert values[0] == 0
    assert set(np.diff(values)) == {values[1]}
    assert len(logger._run.scalars) == 20 * INFO_POINTS


def test_a_metric_can_be_kept_out_of_sacred(logger):
    logger.log_stat("x", 1, 1, to_sacred=False)
    assert logger._run.scalars == []
    assert logger._run.info == {}
    assert logger.last("x") == 1


def test_a_loaded_state_is_written_into_the_new_run(logger):
    logger.log_stat("a", 1.5, 10)
    logger.log_stat("a", 2.5, 20)
    logger.log_stat("hidden", 1, 1, to_sacred=False)
    successor = Logger(get_logger())
    successor.setup_sacred(FakeRun())
    successor.load_state_dict(logger.state_dict())
    assert successor._run.scalars == logger._run.scalars
    assert successor._run.info == logger._run.info
    assert successor.stats == logger.stats


def test_tensorboard_gets_the_scalars(logger, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger.setup_tb(str(tmp_path / "tb"))
    logger.log_stat("a", 1.5, 10)
    logger.close()
    accumulator = EventAccumulator(str(tmp_path / "tb"))
    accumulator.Reload()
    assert [(event.step, event.value) for event in accumulator.Scalars("a")] == [(10, 1.5)]


def test_the_summary_averages_what_is_new_and_puts_tests_first(logger, capsys):
    for t, value in enumerate([1.0, 2.0]):
        logger.log_stat("loss", value, t)
    logger.log_stat("test_win", 0.75, 1)
    logger.log_stat("episode", 12, 1)
    logger.print_recent_stats()
    printed = capsys.readouterr().out
    assert "Episode:       12" in printed
    assert printed.index("test_win") < printed.index("loss")
    assert "1.5" in printed
    logger.log_stat("loss", 4.0, 2)
    logger.print_recent_stats()
    printed = capsys.readouterr().out
    assert " 4" in printed.split("loss:")[1]
    assert "0.75" in printed


def test_the_console_has_one_handler_and_makes_room_for_a_bar(capsys):
    console = get_logger()
    assert get_logger() is console
    handlers = [handler for handler in console.handlers if isinstance(handler, ScreenHandler)]
    assert len(handlers) == 1
    entered = []

    @contextlib.contextmanager
    def around():
        entered.append("before")
        yield
        entered.append("after")

    handlers[0].around = around
    try:
        console.log(logging.WARNING, "look")
    finally:
        handlers[0].around = contextlib.nullcontext
    assert entered == ["before", "after"]
    assert capsys.readouterr().out.endswith("WARNING: look\n")
