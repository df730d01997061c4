"""The loop: what it does when. Runner and learner are fakes that write down how they are called."""

import os
import signal
from types import SimpleNamespace

import pytest

from run import checkpoints
from run.assembly import Parts
from run.training import Label, Trainer
from utils.errors import UserError
from utils.logging import Logger, get_logger

STEPS = 10  # of each fake batch


class Batch:
    """Knows its number and how far it was cut."""

    device = "cpu"

    def __init__(self, number, length=9):
        self.number, self.length = number, length

    def max_t_filled(self):
        return 4

    def __getitem__(self, item):
        assert item[0] == slice(None)
        return Batch(self.number, item[1].stop)


class Runner:
    def __init__(self, win_rates=(), on_batch=lambda number: None):
        self.t_env, self.tests, self.batches = 0, 0, 0
        self.win_rates, self.on_batch = list(win_rates), on_batch
        self.logger = None

    def run(self, test_mode):
        if test_mode:
            self.tests += 1
            if self.win_rates:
                self.logger.log_stat("test_battle_won_mean", self.win_rates.pop(0), self.t_env)
            return None
        self.batches += 1
        self.t_env += STEPS
        self.on_batch(self.batches)
        return Batch(self.batches)

    def state_dict(self):
        return {"t_env": self.t_env, "tests": self.tests, "batches": self.batches}

    def load_state_dict(self, state):
        self.__dict__.update(state)


class Learner:
    def __init__(self):
        self.calls = []
        self.saved = []

    def train(self, batch, t_env, episode):
        self.calls.append((batch.number, batch.length, t_env, episode))

    def save_models(self, path):
        self.saved.append(int(os.path.basename(path)))

    def state_dict(self):
        return {"calls": [list(call) for call in self.calls]}

    def load_state_dict(self, state):
        self.calls = [tuple(call) for call in state["calls"]]


class Mac:
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Buffer:
    def __init__(self):
        self.inserted = []

    def insert_episode_batch(self, batch):
        self.inserted.append(batch.number)

    def can_sample(self, batch_size):
        return len(self.inserted) >= batch_size

    def sample(self, batch_size):
        return Batch(-1)

    def state_dict(self):
        return {"inserted": list(self.inserted)}

    def load_state_dict(self, state):
        self.inserted = list(state["inserted"])


def make(tmp_path, runner=None, learner=None, buffer=None, mac=None, **keys):
    args = SimpleNamespace(
        **{
            **{"t_max": 95, "test_interval": 1000, "log_interval": 1000, "test_nepisode": 4, "batch_size_run": 2},
            **{"save_model": False, "save_model_interval": 30, "save_every_episodes": 0, "checkpoint_interval": 0},
            **{"stop_win_rate": 0.0, "stop_evaluations": 2, "max_episodes": 0, "max_minutes": 0.0},
            **{"batch_size": 3, "updates_per_batch": 1, "device": "cpu", "on_policy": True},
            **keys,
        }
    )
    logger = Logger(get_logger())
    runner = runner or Runner()
    runner.logger = logger
    parts = Parts(runner, mac or Mac(), learner or Learner(), buffer, logger)
    return Trainer(parts, args, tmp_path / "models", Label("x", "3m", 1, "hash", "", {}))


class TestLearning:
    def test_on_policy_learners_get_the_fresh_batch_cut_to_its_length(self, tmp_path):
        trainer = make(tmp_path, t_max=25)
        trainer.run()
        assert trainer.learner.calls == [(1, 4, 10, 0), (2, 4, 20, 2), (3, 4, 30, 4)]

    def test_the_learners_own_word_beats_the_key(self, tmp_path):
        learner = Learner()
        learner.on_policy = True
        trainer = make(tmp_path, learner=learner, buffer=Buffer(), on_policy=False, t_max=5)
        trainer.run()
        assert learner.calls == [(1, 4, 10, 0)]
        assert trainer.parts.buffer.inserted == [1]

    def test_others_sample_once_the_buffer_holds_enough(self, tmp_path):
        trainer = make(tmp_path, buffer=Buffer(), on_policy=False, t_max=45)
        trainer.run()
        assert trainer.parts.buffer.inserted == [1, 2, 3, 4, 5]
        assert [call[0] for call in trainer.learner.calls] == [-1, -1, -1]

    def test_several_batches_may_be_drawn_after_each_collection(self, tmp_path):
        trainer = make(tmp_path, buffer=Buffer(), on_policy=False, t_max=45, updates_per_batch=4)
        trainer.run()
        assert [call[2] for call in trainer.learner.calls] == [30] * 4 + [40] * 4 + [50] * 4


class TestEnd:
    def test_t_max_is_passed_as_in_pymarl(self, tmp_path):
        trainer = make(tmp_path, t_max=100)
        assert trainer.run() == "t_max = 100 steps"
        assert trainer.t_env == 110

    def test_episodes_are_a_budget_too(self, tmp_path):
        trainer = make(tmp_path, max_episodes=7)
        assert trainer.run() == "max_episodes = 7"
        assert trainer.episode == 8

    def test_so_are_minutes(self, tmp_path):
        trainer = make(tmp_path, max_minutes=1e-9)
        assert trainer.run() == "max_minutes = 1e-09"
        assert trainer.t_env == 0

    def test_a_sustained_win_rate_ends_the_run(self, tmp_path):
        rates = [0.5, 0.5, 0.95, 0.95, 0.5, 0.5, 0.9, 0.9, 0.9, 0.9, 0, 0]
        trainer = make(tmp_path, Runner(rates), test_interval=10, stop_win_rate=0.9, t_max=10_000)
        reason = trainer.run()
        assert reason == "test win rate of 90% in 2 tests in a row"
        assert trainer.t_env == 50
        assert trainer.milestones.reached["steps_to_90"] == 20
        assert trainer.milestones.reached["episodes_to_90"] == 4
        assert trainer.milestones.reached["steps_to_sustained_90"] == 50
        assert trainer.logger.stats["steps_to_90"] == [(20, 20.0)]


class TestTests:
    def test_they_come_first_after_one_batch_then_at_the_interval_then_at_the_end(self, tmp_path):
        runner = Runner()
        when = []
        play = runner.run
        runner.run = lambda test_mode: (when.append(runner.t_env) if test_mode else None, play(test_mode))[1]
        make(tmp_path, runner, test_interval=40, t_max=105).run()
        assert when == [10, 10, 50, 50, 90, 90, 110, 110]  # two runs of two episodes each

    def test_an_interrupted_run_is_not_tested(self, tmp_path):
        before = signal.getsignal(signal.SIGINT)  # a shell starts what goes to the background with SIGINT ignored
        runner = Runner(on_batch=lambda number: os.kill(os.getpid(), signal.SIGINT) if number == 2 else None)
        trainer = make(tmp_path, runner)
        assert trainer.run() == "interrupted"
        assert (runner.batches, runner.tests) == (2, 2)
        assert checkpoints.load(tmp_path / "models" / "checkpoint.pt")["runner"]["t_env"] == 20
        assert signal.getsignal(signal.SIGINT) is before

    def test_a_second_signal_stops_at_once(self, tmp_path):
        def twice(number):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

        trainer = make(tmp_path, Runner(on_batch=twice))
        with pytest.raises(KeyboardInterrupt):
            trainer.run()
        assert trainer.learner.calls == []
        assert not (tmp_path / "models").exists()


class TestSaving:
    def test_models_by_steps_and_at_the_end(self, tmp_path):
        trainer = make(tmp_path, save_model=True)
        trainer.run()
        assert trainer.learner.saved == [30, 60, 90, 100]

    def test_models_and_checkpoint_by_episodes(self, tmp_path):
        trainer = make(tmp_path, save_model=True, save_model_interval=10**6, save_every_episodes=8)
        trainer.run()
        assert trainer.learner.saved == [40, 80, 100]

    def test_checkpoints_by_steps_and_at_the_end(self, tmp_path, monkeypatch):
        saved = []
        save = checkpoints.save
        monkeypatch.setattr(checkpoints, "save", lambda *a: (saved.append(a[2]["t_env"]), save(*a))[1])
        make(tmp_path, checkpoint_interval=40).run()
        assert saved == [40, 80, 100]


class TestResume:
    def test_the_loop_goes_on_where_it_was(self, tmp_path):
        keys = {"test_interval": 30, "log_interval": 20, "buffer": Buffer(), "on_policy": False}
        whole = make(tmp_path / "whole", **keys)
        whole.run()
        keys["buffer"] = Buffer()
        runner = Runner(on_batch=lambda number: os.kill(os.getpid(), signal.SIGINT) if number == 5 else None)
        first = make(tmp_path / "first", runner, **keys)
        assert first.run() == "interrupted"
        keys["buffer"] = Buffer()
        second = make(tmp_path / "second", **keys)
        second.load_state_dict(checkpoints.load(tmp_path / "first" / "models" / "checkpoint.pt"))
        assert second.t_env == 50
        second.run()
        assert second.learner.calls == whole.learner.calls
        assert second.parts.buffer.inserted == whole.parts.buffer.inserted
        assert second.runner.state_dict() == whole.runner.state_dict()
        assert second.logger.stats["episode"] == whole.logger.stats["episode"]

    def test_a_finished_run_has_nothing_left_to_do(self, tmp_path):
        first = make(tmp_path / "first")
        first.run()
        second = make(tmp_path / "second")
        second.load_state_dict(checkpoints.load(tmp_path / "first" / "models" / "checkpoint.pt"))
        assert second.run() == "t_max = 95 steps"
        assert second.runner.state_dict() == first.runner.state_dict()

    def test_a_learner_without_state_trains_but_cannot_be_resumed(self, tmp_path):
        class PlugIn:
            """Only what PyMARL asks for."""

            def __init__(self):
                self.calls = 0

            def train(self, batch, t_env, episode):
                self.calls += 1

        trainer = make(tmp_path, learner=PlugIn(), checkpoint_interval=10)
        trainer.run()
        assert trainer.learner.calls == 10
        assert not (tmp_path / "models").exists()
        with pytest.raises(UserError, match=r'cannot be resumed: learner "PlugIn" has no state_dict\(\)'):
            trainer.load_state_dict({})
