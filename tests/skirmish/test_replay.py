"""Recording changes no battle, and what is recorded is the battle."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skirmish.battles import Battles
from skirmish.dict_env import DictEnv
from skirmish.engine import ATTACK, MOVE
from skirmish.env import StarCraft2Env
from skirmish.recorder import type_facts
from skirmish.replay import ReplayError, load, pack, unpack
from skirmish.rules import IllegalActionError, NotRunningError
from skirmish.units import load_units

SHOWN = ("x", "y", "health", "shield", "energy", "weapon_cooldown", "facing", "alive", "target", "hits")


def play(battles, seed, steps=200):
    """Random episodes in all battles, side by side; yields (live rows, result) after every step."""
    random = np.random.default_rng(seed)
    obs, state, avail = battles.frame()
    battles.reset()
    live = np.ones(battles.n_battles, dtype=bool)
    while live.any() and steps:
        battles.observe(obs, state, avail)
        actions = (random.random(avail.shape) * avail).argmax(-1)
        result = battles.step(actions, live)
        yield live.copy(), result
        live &= ~result.terminated
        steps -= 1


@pytest.mark.parametrize("map_name", ["3m", "MMM2", "2c_vs_64zg", "bane_vs_bane"])
@pytest.mark.parametrize("step_mul", [8, 5])
def test_recording_changes_nothing(map_name, step_mul, tmp_path):
    plain, watched = (Battles(map_name, 3, seed=7, step_mul=step_mul) for _ in range(2))
    watched.record_replays(tmp_path, episodes=2)
    courses = zip(play(plain, 1, 25), play(watched, 1, 25))
    for (_, expected), (_, found) in courses:
        for name in SHOWN:
            np.testing.assert_array_equal(getattr(watched.engine.units, name), getattr(plain.engine.units, name), name)
        np.testing.assert_array_equal(found.reward, expected.reward)
        np.testing.assert_array_equal(found.terminated, expected.terminated)
    np.testing.assert_array_equal(watched.snapshot()["engine.rng"], plain.snapshot()["engine.rng"])


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The replays of two whole episodes on 2s3z and what the battles showed step by step."""
    folder = tmp_path_factory.mktemp("replays")
    battles = Battles("2s3z", 2, seed=3)
    battles.record_replays(folder, episodes=2)
    shown, rewards, last = [[], []], [[], []], [None, None]
    for live, result in play(battles, 5):
        for row in np.flatnonzero(live):
            shown[row].append({name: getattr(battles.engine.units, name)[row].copy() for name in SHOWN})
            rewards[row].append(result.reward[row])
            last[row] = (bool(result.battle_won[row]), int(result.dead_allies[row]), int(result.dead_enemies[row]))
    return [load(folder / f"2s3z_{k:04d}.npz") for k in range(2)], shown, rewards, last


class TestContent:
    @pytest.mark.parametrize("row", [0, 1])
    def test_a_step_has_four_frames_and_the_last_is_what_the_agents_see(self, played, row):
        replay, shown = played[0][row], played[1][row]
        assert replay.n_frames == 4 * replay.n_steps + 1
        np.testing.assert_array_equal(replay.loops, 2 * np.arange(replay.n_frames))
        for name, tolerance in (("x", 1 / 256), ("health", 1 / 32), ("shield", 1 / 32), ("alive", 0), ("target", 0)):
            expected = np.stack([frame[name] for frame in shown]).astype(float)
            np.testing.assert_allclose(getattr(replay, name)[4::4], expected, atol=tolerance + 1e-6, err_msg=name)

    @pytest.mark.parametrize("row", [0, 1])
    def test_hits_of_a_steps_frames_add_up(self, played, row):
        replay, shown = played[0][row], played[1][row]
        summed = replay.hits[1:].reshape(replay.n_steps, 4, -1).sum(axis=1)
        np.testing.assert_array_equal(summed, np.stack([frame["hits"] for frame in shown]))
        assert summed.sum() > 0

    @pytest.mark.parametrize("row", [0, 1])
    def test_rewards_are_exact_and_the_result_is_the_episodes(self, played, row):
        replay, rewards, last = played[0][row], played[2][row], played[3][row]
        assert replay.reward.tolist() == rewards
        result = replay.result
        assert (result["won"], result["dead_allies"], result["dead_enemies"]) == last
        assert result["finished"]
        assert result["length"] == replay.n_steps == len(rewards)
        assert result["return"] == sum(rewards)

    def test_orders_are_what_the_agents_were_told(self):
        env = StarCraft2Env(map_name="3m", seed=1)
        env.reset()
        for _ in range(4):
            env.step([4, 4, 4])  # east
        replay = env.replay()
        assert (replay.order_kind == MOVE).all()
        np.testing.assert_allclose(replay.order_x, replay.x[:-1:4, :3] + 2, atol=1 / 64)
        while not any(row[6] for row in env.get_avail_actions()):
            env.step([4, 4, 4])
        agent = next(agent for agent, row in enumerate(env.get_avail_actions()) if row[6])
        env.step([6 if k == agent else 1 for k in range(3)])
        replay = env.replay()
        assert (replay.order_kind[-1, agent], replay.order_target[-1, agent]) == (ATTACK, 3)

    def test_map_and_units_are_inside(self, played):
        replay, spec = played[0][0], Battles("2s3z").map_spec
        np.testing.assert_array_equal(replay.pathing, spec.pathing)
        assert replay.map["checksum"] == spec.checksum
        assert [unit["type"] for unit in replay.units] == [*spec.ally_types, *spec.enemy_types]
        assert replay.units[0] == {"type": "Stalker", "health_max": 80, "shield_max": 80}
        assert replay.types["Zealot"]["weapon"] == "melee"

    def test_a_file_has_a_few_tens_of_kilobytes(self, tmp_path):
        battles = Battles("27m_vs_30m", 1, seed=3, heuristic_ai=True)
        battles.record_replays(tmp_path)
        for _ in play(battles, 5):
            pass
        size = (tmp_path / "27m_vs_30m_0000.npz").stat().st_size
        assert size < 60_000


def test_weapons_are_told_apart():
    kinds = {name: type_facts(unit)["weapon"] for name, unit in load_units().items()}
    assert kinds == {
        "Marine": "shot", "Marauder": "missile", "Medivac": "heal", "Stalker": "missile", "Zealot": "melee",
        "Colossus": "beam", "Zergling": "melee", "Baneling": "blast", "Hydralisk": "missile", "SpineCrawler": "missile",
    }  # fmt: skip


class TestWhatIsRecorded:
    def test_only_so_many_episodes_in_the_order_of_their_beginning(self, tmp_path):
        battles = Battles("3m", 2, seed=1)
        battles.record_replays(tmp_path, episodes=3, first=10, stride=5)
        for _ in range(3):
            for _ in play(battles, 0):
                pass
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["3m_0010.npz", "3m_0015.npz", "3m_0020.npz"]
        assert battles.recorder is None

    def test_an_abandoned_episode_is_unfinished(self, tmp_path):
        battles = Battles("3m", 1, seed=1)
        battles.record_replays(tmp_path)
        battles.reset()
        battles.step(np.ones((1, 3), dtype=np.int64))
        battles.reset()
        replay = load(tmp_path / "3m_0000.npz")
        assert (replay.n_steps, replay.result["finished"], replay.result["won"]) == (1, False, False)

    def test_the_rules_refusals_leave_the_recording_as_it_was(self, tmp_path):
        env = StarCraft2Env(map_name="3m", seed=1)
        env.reset()
        with pytest.raises(IllegalActionError):
            env.step([0, 0, 0])
        assert env.replay().n_steps == 0


class TestSaveReplay:
    def test_it_tells_the_episode_so_far_without_having_been_asked_before(self, tmp_path):
        env = StarCraft2Env(map_name="MMM", seed=4, replay_dir=str(tmp_path), replay_prefix="mine", heuristic_ai=True)
        watched = []
        for _ in range(2):
            env.reset()
            terminated, rewards = False, []
            while not terminated:
                reward, terminated, _ = env.step([0] * env.n_agents)
                rewards.append(reward)
            watched.append(rewards)
        before = env.snapshot()
        path = env.save_replay()
        replay = load(path)
        assert path.parent == tmp_path
        assert path.name.startswith("mine_")
        assert replay.reward.tolist() == watched[1]
        assert replay.result["finished"]
        after = env.snapshot()
        assert all(np.array_equal(after[name], before[name]) for name in before)
        assert env.save_replay() != path

    def test_a_battle_goes_on_as_if_nothing_had_happened(self):
        envs = [StarCraft2Env(map_name="3m", seed=2) for _ in range(2)]
        for step in range(12):
            for env in envs:
                if not step:
                    env.reset()
                env.step([max(np.flatnonzero(row)) for row in env.get_avail_actions()])
            if step == 6:
                envs[0].replay()
        assert envs[0].get_state().tolist() == envs[1].get_state().tolist()

    def test_it_begins_where_the_battle_was_restored(self):
        env = StarCraft2Env(map_name="3m", seed=2)
        env.reset()
        env.step([4, 4, 4])
        saved = env.snapshot()
        env.step([5, 5, 5])
        env.restore(saved)
        env.step([1, 1, 1])
        replay = env.replay()
        assert (replay.start_step, replay.n_steps) == (1, 1)

    def test_before_the_first_reset_there_is_nothing_to_save(self):
        with pytest.raises(NotRunningError, match="call reset"):
            StarCraft2Env(map_name="3m", seed=1).save_replay()

    def test_the_other_interfaces_have_it_too(self, tmp_path):
        pytest.importorskip("pettingzoo")
        from skirmish.parallel_env import parallel_env
        from skirmish.vector_env import SkirmishVectorEnv

        for make in (DictEnv, parallel_env):
            env = make("3m", seed=1, replay_dir=str(tmp_path))
            env.reset()
            assert load(env.save_replay()).n_frames == 1
            env.record_replays(tmp_path / "records")
            assert env.save_replay().exists()
        envs = SkirmishVectorEnv("3m", num_envs=2, seed=1)
        envs.record_replays(tmp_path / "many", episodes=2)
        envs.reset(seed=1)
        while len(list((tmp_path / "many").glob("*.npz"))) < 2:
            envs.step(envs.action_space.sample())


class TestFile:
    @pytest.fixture
    def file(self, tmp_path):
        env = StarCraft2Env(map_name="3m", seed=1)
        env.reset()
        env.step([1, 1, 1])
        return env.replay().save(tmp_path / "a" / "r.npz")

    def test_saving_what_was_loaded_changes_nothing(self, file, tmp_path):
        again = load(file).save(tmp_path / "again.npz")
        first, second = np.load(file), np.load(again)
        assert all(np.array_equal(first[name], second[name]) for name in first.files)

    def test_nothing_else_is_left_in_the_folder(self, file):
        assert [path.name for path in file.parent.iterdir()] == ["r.npz"]

    def test_what_is_no_replay_is_told_in_a_sentence(self, file, tmp_path):
        with pytest.raises(ReplayError, match="There is no replay"):
            load(tmp_path / "nowhere.npz")
        text = tmp_path / "text.npz"
        text.write_text("hello")
        with pytest.raises(ReplayError, match="is no replay, or a damaged one"):
            load(text)
        cut = tmp_path / "cut.npz"
        cut.write_bytes(file.read_bytes()[:-400])
        with pytest.raises(ReplayError, match="is no replay, or a damaged one"):
            load(cut)
        other = tmp_path / "other.npz"
        np.savez(other, a=np.zeros(3))
        with pytest.raises(ReplayError, match="a NumPy archive, but no replay"):
            load(other)
        single = tmp_path / "single.npz"
        with single.open("wb") as out:
            np.save(out, np.zeros(3))
        with pytest.raises(ReplayError, match="is no replay"):
            load(single)

    def test_another_version_is_refused_by_its_number(self, file, tmp_path):
        self._rewrite(file, tmp_path / "new.npz", header={"version": 99})
        with pytest.raises(ReplayError, match="format version 99; this version of skirmish reads version 1"):
            load(tmp_path / "new.npz")

    def test_missing_and_misshapen_parts_are_named(self, file, tmp_path):
        self._rewrite(file, tmp_path / "less.npz", without="facing")
        with pytest.raises(ReplayError, match=r"is damaged.*facing"):
            load(tmp_path / "less.npz")
        self._rewrite(file, tmp_path / "short.npz", loops=np.arange(3))
        with pytest.raises(ReplayError, match='is damaged: "x" has the shape'):
            load(tmp_path / "short.npz")

    @staticmethod
    def _rewrite(file, target, header=None, without=None, **changed):
        parts = dict(np.load(file)) | changed
        if header:
            content = json.loads(parts["header"].tobytes()) | header
            parts["header"] = np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)
        parts.pop(without, None)
        np.savez_compressed(target, **parts)
        assert zipfile.is_zipfile(target)


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(np.float32, (7, 3), elements=st.floats(-1e4, 1e4, width=32)), st.sampled_from([1 / 128, 1 / 16, 1.0])
)
def test_packing_keeps_values_to_half_a_quantum(values, quantum):
    assert np.abs(unpack(pack(values, quantum), quantum) - values).max() <= quantum / 2 + 1e-9
