"""The asymmetric buffer keeps real and imagined data apart, and what it draws of the real is a function of the real."""

import io

import pytest
import torch

from components import memory
from components.asymmetric_buffer import (
    AsymmetricBuffer,
    AuxiliaryData,
    MixedData,
    PrimaryData,
    ProvenanceError,
    require_primary,
)
from components.episode_index import EpisodeIndex
from utils.errors import UserError


def make(kit, size=1000, **extra):
    extra = {"n_auxiliary": 4, "auxiliary_size": 10, **extra}
    return AsymmetricBuffer(kit.scheme, kit.groups, size, kit.max_seq_length, kit.preprocess, **extra)


@pytest.fixture(params=["memory", "files"])
def storage(request, tmp_path):
    """Keyword arguments that put the buffer into memory or into files."""
    return {} if request.param == "memory" else {"memory_map_above": 0, "directory": tmp_path / "buffer"}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def imagined(n, value=0.0):
    return AuxiliaryData(
        {
            "state": torch.full((n, 4), value),
            "next_state": torch.full((n, 4), value + 1),
            "actions": torch.ones(n, 3, dtype=torch.long),
            "reward": torch.arange(n) + value,
        }
    )


def same(ours, theirs):
    return set(ours) == set(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_sequences_have_pymarl_dtypes_and_one_frame_more_than_steps(kit, storage):
    buffer = make(kit, **storage)
    buffer.insert_episode_batch(kit.episodes([8, 5]))
    data = buffer.sample_primary(6, 4, generator())
    assert type(data) is PrimaryData
    assert len(data) == 6
    shapes = {key: tuple(data[key].shape[1:]) for key in data}
    assert shapes == {
        "state": (5, 4),
        "obs": (5, 3, 2),
        "avail_actions": (5, 3, 5),
        "actions": (4, 3),
        "reward": (4,),
        "terminated": (4,),
        "mask": (4,),
        "episode": (),
        "step": (),
    }
    assert data["actions"].dtype == torch.int64
    assert data["avail_actions"].dtype == torch.int32
    assert data["terminated"].dtype == torch.uint8
    assert data["mask"].dtype == torch.bool


def test_a_share_of_the_sequences_comes_from_the_newest_episodes(kit):
    buffer = make(kit)
    buffer.insert_episode_batch(kit.episodes([8, 8, 8, 4, 4]))

    def newest(share, latest=8):
        episodes = buffer.sample_primary(4000, 2, generator(), latest=latest, latest_share=share)["episode"]
        return float((episodes >= 3).float().mean())

    assert newest(1.0) == 1.0
    assert newest(0.0) == pytest.approx(0.25, abs=0.03), "8 of 32 transitions"
    assert newest(0.5) == pytest.approx(0.5 + 0.5 * 0.25, abs=0.03)
    assert newest(1.0, latest=1000) == pytest.approx(0.25, abs=0.03)


def test_sequences_stay_in_their_episode_and_padding_is_masked(kit, storage):
    lengths = [8, 1, 5, 3]
    buffer = make(kit, **storage)
    buffer.insert_episode_batch(kit.episodes(lengths))
    data = buffer.sample_primary(300, 6, generator())
    for row in range(300):
        episode, step = int(data["episode"][row]), int(data["step"][row])
        n_real = min(6, lengths[episode] - step)
        assert data["mask"][row].tolist() == [t < n_real for t in range(6)]
        expected = [100 * episode + min(step + t, lengths[episode]) for t in range(7)]
        assert data["state"][row, :, 0].tolist() == expected
        assert data["obs"][row, :, 1, 0].tolist() == expected
        rewards = [episode + (step + t) / 100 if t < n_real else 0 for t in range(6)]
        assert data["reward"][row].tolist() == pytest.approx(rewards)
        assert data["terminated"][row].tolist() == [
            int(step + t == lengths[episode] - 1 and t < n_real) for t in range(6)
        ]
    assert data["mask"][:, 0].all()


def test_actions_come_back_as_they_were_played(kit):
    batch = kit.episodes([8])
    buffer = make(kit)
    buffer.insert_episode_batch(batch)
    data = buffer.sample_primary(20, 1, generator())
    assert torch.equal(data["actions"][:, 0], batch["actions"][0, data["step"], :, 0])


def test_starts_are_uniform_over_transitions_not_over_episodes(kit):
    buffer = make(kit)
    buffer.insert_episode_batch(kit.episodes([8, 2]))
    data = buffer.sample_primary(20_000, 1, generator())
    counts = torch.bincount(data["state"][:, 0, 0].long(), minlength=102)
    drawn = torch.cat((counts[:8], counts[100:102]))
    assert drawn.sum() == 20_000
    assert torch.allclose(drawn / 20_000, torch.full((10,), 0.1), atol=0.01)


def test_whole_oldest_episodes_give_way(kit, storage):
    buffer = make(kit, size=20, **storage)
    for first in range(0, 12, 2):
        buffer.insert_episode_batch(kit.episodes([5, 4], first))
    assert buffer.primary_steps_added == 54
    assert buffer.primary_steps == 18
    assert buffer.episodes_in_buffer == 4
    data = buffer.sample_primary(500, 3, generator())
    assert set(data["episode"].tolist()) == {8, 9, 10, 11}
    assert torch.equal(data["state"][:, 0, 0].long(), 100 * data["episode"] + data["step"])


def test_one_episode_larger_than_the_buffer_still_stays(kit):
    buffer = make(kit, size=3)
    buffer.insert_episode_batch(kit.episodes([8]))
    assert buffer.primary_steps == 8


def test_held_out_episodes_are_every_kth_for_ever_and_never_in_the_training_split(kit):
    buffer = make(kit, size=60)
    assert not buffer.has_held_out(4)
    for first in range(0, 24, 3):
        buffer.insert_episode_batch(kit.episodes([4, 5, 3], first))
    held_out = buffer.sample_primary(400, 2, generator(), split="held_out", held_out_every=4)
    train = buffer.sample_primary(400, 2, generator(), split="train", held_out_every=4)
    assert buffer.has_held_out(4)
    assert set((held_out["episode"] % 4).tolist()) == {3}
    assert set((train["episode"] % 4).tolist()) == {0, 1, 2}
    assert set(buffer.sample_primary(400, 2, generator(), split="train", held_out_every=0)["episode"].tolist()) == set(
        buffer.sample_primary(400, 2, generator(), split="all")["episode"].tolist()
    )
    with pytest.raises(ValueError, match=r'"held_out".* is empty'):
        buffer.sample_primary(1, 1, generator(), split="held_out", held_out_every=1000)
    with pytest.raises(ValueError, match="split must be one of"):
        buffer.sample_primary(1, 1, generator(), split="test")


def test_states_come_with_their_history(kit):
    buffer = make(kit)
    buffer.insert_episode_batch(kit.episodes([8, 3]))
    data = buffer.sample_primary_states(200, generator(), history=3)
    for row in range(200):
        episode, step = int(data["episode"][row]), int(data["step"][row])
        assert data["state"][row, :, 0].tolist() == [100 * episode + max(0, step - 3 + t) for t in range(4)]
        assert data["mask"][row].tolist() == [step - 3 + t >= 0 for t in range(3)]
        rewards = [episode + (step - 3 + t) / 100 if step - 3 + t >= 0 else 0 for t in range(3)]
        assert data["reward"][row].tolist() == pytest.approx(rewards)
    assert buffer.sample_primary_states(5, generator())["state"].shape == (5, 1, 4)


def test_whole_episodes_come_back_as_a_batch(kit, storage):
    buffer = make(kit, **storage)
    batch = kit.episodes([8, 3, 5])
    buffer.insert_episode_batch(batch)
    read = buffer.sample(3)
    order = (read["state"][:, 0, 0] / 100).long()
    for key in (*kit.scheme, "filled", "actions_onehot"):
        assert torch.equal(read[key], batch[order][key]), key
        assert read[key].dtype == batch[key].dtype, key
    assert buffer.can_sample(3)
    assert not buffer.can_sample(4)
    with pytest.raises(ValueError, match="4 episodes asked for, 3"):
        buffer.sample_episodes(4, generator())


def test_primary_draws_do_not_change_with_what_auxiliaries_hold(kit):
    alone, crowded = make(kit), make(kit)
    for round_number in range(3):
        for buffer in (alone, crowded):
            buffer.insert_episode_batch(kit.episodes([5, 4], 2 * round_number))
        crowded.add_auxiliary(round_number, imagined(30, value=1e30))
        crowded.sample_auxiliary(8, generator(9))
        crowded.sample_mixed(8, 0.5, generator(9))
        for split in ("all", "train"):
            draws = [
                buffer.sample_primary(16, 4, generator(3), split=split, held_out_every=3) for buffer in (alone, crowded)
            ]
            assert same(*draws)
        assert same(*[buffer.sample_primary_states(16, generator(3)) for buffer in (alone, crowded)])
    assert crowded.primary_steps_added == alone.primary_steps_added


def test_provenance_is_checked(kit):
    buffer = make(kit)
    buffer.insert_episode_batch(kit.episodes([5]))
    real = buffer.sample_primary(2, 1, generator())
    require_primary(real)
    buffer.add_auxiliary(0, imagined(5))
    for other in (
        buffer.sample_auxiliary(2, generator()),
        buffer.sample_mixed(2, 0.5, generator()),
        dict(real.tensors),
    ):
        with pytest.raises(ProvenanceError, match="was offered"):
            require_primary(other)
    with pytest.raises(ProvenanceError, match="PrimaryData was offered"):
        buffer.add_auxiliary(0, real)
    assert type(real.to("cpu")) is PrimaryData


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_imagination_is_an_error_and_huge_numbers_are_not(kit, value):
    buffer = make(kit)
    with pytest.raises(ValueError, match='auxiliary 2: "state" holds NaN or infinity'):
        buffer.add_auxiliary(2, imagined(3, value))
    buffer.add_auxiliary(2, imagined(3, 1e30))
    assert buffer.auxiliary_steps(2) == 3


def test_each_auxiliary_has_a_ring_of_its_own(kit, storage):
    buffer = make(kit, **storage)
    buffer.add_auxiliary(1, imagined(7, 100))
    buffer.add_auxiliary(1, imagined(7, 200))
    buffer.add_auxiliary(3, imagined(25, 300))
    assert [buffer.auxiliary_steps(i) for i in range(4)] == [0, 10, 0, 10]
    assert buffer.auxiliary_steps() == 20
    data = buffer.sample_auxiliary(2000, generator())
    assert type(data) is AuxiliaryData
    assert data["actions"].dtype == torch.int64
    drawn = {source: set(data["reward"][data["source"] == source].tolist()) for source in (2, 4)}
    assert drawn[2] == {104, 105, 106, *range(200, 207)}
    assert drawn[4] == set(range(315, 325))
    assert set(data["source"].tolist()) == {2, 4}
    with pytest.raises(ValueError, match="no auxiliary 4"):
        buffer.add_auxiliary(4, imagined(1))
    with pytest.raises(ValueError, match="differ from those stored"):
        buffer.add_auxiliary(0, AuxiliaryData({"state": torch.zeros(1, 5)}))


def test_a_row_may_be_a_whole_rollout(kit):
    buffer = make(kit, auxiliary_size=10, auxiliary_row_steps=5)
    buffer.add_auxiliary(0, AuxiliaryData({"reward": torch.arange(20.0).reshape(4, 5)}))
    assert buffer.auxiliary_steps(0) == 2, "two rollouts of five transitions"
    assert set(buffer.sample_auxiliary(50, generator())["reward"][:, 0].tolist()) == {10.0, 15.0}


def test_mixed_batches_mark_every_row_with_its_source(kit):
    buffer = make(kit)
    buffer.insert_episode_batch(kit.episodes([8]))
    assert buffer.sample_mixed(10, 0.3, generator())["source"].tolist() == [0] * 10
    buffer.add_auxiliary(2, imagined(4, -50))
    data = buffer.sample_mixed(10, 0.3, generator())
    assert type(data) is MixedData
    assert data["source"].tolist() == [0] * 7 + [3] * 3
    assert set(data) == {"source", "state", "next_state", "actions", "reward"}
    assert data["state"][7:].eq(-50).all()
    assert torch.equal(data["next_state"][:7], data["state"][:7] + 1)
    assert buffer.sample_mixed(4, 1.0, generator())["source"].tolist() == [3] * 4


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("resumed_in", ["memory", "files"])
def test_a_resumed_buffer_goes_on_as_if_never_stopped(kit, storage, resumed_in, tmp_path):
    buffer = make(kit, size=20, **storage)
    for first in range(0, 8, 2):
        buffer.insert_episode_batch(kit.episodes([5, 4], first))
        buffer.add_auxiliary(1, imagined(6, first))
    state = through_a_file(buffer.state_dict())
    elsewhere = {"memory_map_above": 0, "directory": tmp_path / "resumed"} if resumed_in == "files" else {}
    resumed = make(kit, size=20, seed=5, **elsewhere)
    resumed.load_state_dict(state)
    for first in range(8, 20, 2):
        assert same(buffer.sample_primary(16, 4, generator(3)), resumed.sample_primary(16, 4, generator(3)))
        assert same(buffer.sample_auxiliary(16, generator(3)), resumed.sample_auxiliary(16, generator(3)))
        assert torch.equal(buffer.sample(2)["state"], resumed.sample(2)["state"])
        for each in (buffer, resumed):
            each.insert_episode_batch(kit.episodes([5, 4], first))
            each.add_auxiliary(2, imagined(6, first))
    assert resumed.primary_steps_added == buffer.primary_steps_added


def test_what_is_written_after_a_checkpoint_leaves_the_checkpoint_as_it_was(kit, tmp_path):
    """A killed run went on for a while after its last checkpoint: the resumed one must not see any of that."""
    files = {"memory_map_above": 0, "directory": tmp_path}
    buffer = make(kit, size=40, **files)
    buffer.insert_episode_batch(kit.episodes([8] * 5))
    state = through_a_file(buffer.state_dict())
    expected = buffer.sample_primary(50, 4, generator(3))
    for first in range(5, 40, 5):
        buffer.insert_episode_batch(kit.episodes([8] * 5, first))
    del buffer
    resumed = make(kit, size=40, **files)
    resumed.load_state_dict(state)
    assert same(expected, resumed.sample_primary(50, 4, generator(3)))
    resumed.insert_episode_batch(kit.episodes([7], 5))
    data = resumed.sample_primary(500, 4, generator(3))
    assert set(data["episode"].tolist()) == {1, 2, 3, 4, 5}
    assert data["state"][data["episode"] == 5].max() == 507


def test_a_checkpoint_of_a_mapped_buffer_holds_no_data_and_old_files_go(kit, tmp_path):
    buffer = make(kit, size=64, memory_map_above=0, directory=tmp_path)
    sizes, folders = [], []
    for first in range(0, 50, 5):
        buffer.insert_episode_batch(kit.episodes([8] * 5, first))
        file = io.BytesIO()
        torch.save(buffer.state_dict(), file)
        sizes.append(len(file.getvalue()))
        folders.append(len(list((tmp_path / "primary").iterdir())))
    assert max(sizes) < min(sizes) + 500
    assert max(folders[3:]) < 30, "the segments that neither of the last two checkpoints needs are deleted"


def test_buffers_larger_than_memory_or_disk_are_refused(kit, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "free_memory", lambda place: 2**20)
    with pytest.raises(UserError, match=r"buffer_size=1000000 real transitions need .* free in the memory"):
        make(kit, size=1_000_000)
    with pytest.raises(UserError, match="free on the disk"):
        make(kit, size=1_000_000, memory_map_above=0, directory=tmp_path)


def test_missing_files_of_a_checkpoint_are_named(kit, tmp_path):
    buffer = make(kit, memory_map_above=0, directory=tmp_path / "gone")
    buffer.insert_episode_batch(kit.episodes([4]))
    state = buffer.state_dict()
    (tmp_path / "gone").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="not there any more"):
        make(kit).load_state_dict(state)


def test_episodes_without_a_step_are_passed_over(kit):
    buffer = make(kit)
    buffer.insert_episode_batch(kit.batch(3))
    assert buffer.primary_steps == 0


def test_starts_can_be_kept_to_the_first_steps_of_episodes():
    index = EpisodeIndex()
    for number, length in enumerate([3, 1, 7]):
        index.append(10 * number, length)
    starts = index.draw(400, torch.Generator().manual_seed(0), first_steps=2)
    counts = {(e, s): int(((starts.episode == e) & (starts.step == s)).sum()) for e in range(3) for s in range(7)}
    assert {key for key, count in counts.items() if count} == {(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)}
    assert min(count for count in counts.values() if count) > 40
    assert (starts.row == 10 * starts.episode + starts.step).all()


def test_draws_can_be_kept_to_the_newest_episodes():
    index = EpisodeIndex()
    for number in range(6):
        index.append(start=number * 11, length=10)
    drawn = index.draw(500, torch.Generator().manual_seed(0), latest=25)
    assert set(drawn.episode.tolist()) == {3, 4, 5}, "as few episodes as hold 25 transitions"
    assert set(index.draw(500, torch.Generator().manual_seed(0), latest=20).episode.tolist()) == {4, 5}
    assert set(index.draw(500, torch.Generator().manual_seed(0), latest=1000).episode.tolist()) == set(range(6))
    both = index.draw(300, torch.Generator().manual_seed(0), first_steps=1, latest=10)
    assert set(both.episode.tolist()) == {5} and (both.step == 0).all()
