"""The replay buffer stores compactly, gives back what went in, and is a ring."""

import io

import psutil
import pytest
import torch

from components import REGISTRY, episode_files, memory
from components.episode_buffer import ReplayBuffer
from utils.errors import UserError


@pytest.fixture
def buffer(kit):
    return ReplayBuffer(kit.scheme, kit.groups, 4, kit.max_seq_length, kit.preprocess, seed=1)


def episode_numbers(batch):
    return [int(n) // 100 for n in batch["state"][:, 0, 0]]


def test_registry_knows_both_buffers():
    assert REGISTRY["replay"] is ReplayBuffer
    assert REGISTRY["asymmetric"].__name__ == "AsymmetricBuffer"


def test_what_comes_out_equals_what_went_in(kit, buffer):
    batch = kit.episodes([3, 8])
    buffer.insert_episode_batch(batch)
    read = buffer.sample(2)
    for key in (*kit.scheme, "filled", "actions_onehot"):
        assert torch.equal(read[key], batch[key]), key
        assert read[key].dtype == batch[key].dtype, key
    taken = torch.gather(torch.rand(2, 9, 3, 5), 3, read["actions"])
    assert taken.shape == (2, 9, 3, 1)


def test_storage_takes_the_bytes_that_compact_fields_need(kit, buffer):
    per_step = 4 * 4 + 3 * 2 * 4 + 3 * 2 + 3 * 5 + 4 + 1 + 1
    assert buffer.n_bytes == 4 * 9 * per_step


def test_a_new_buffer_takes_no_memory_before_episodes_come(kit):
    process = psutil.Process()
    before = process.memory_info().rss
    buffer = ReplayBuffer(kit.scheme, kit.groups, 1_000_000, kit.max_seq_length, kit.preprocess)
    assert process.memory_info().rss - before < 0.1 * buffer.n_bytes
    assert buffer.n_bytes > 500_000_000
    assert buffer[:3]["state"].sum() == 0


def test_the_ring_overwrites_the_oldest(kit, buffer):
    for first in range(0, 6, 2):
        buffer.insert_episode_batch(kit.episodes([3, 3], first))
    assert (buffer.episodes_in_buffer, buffer.buffer_index) == (4, 2)
    assert sorted(episode_numbers(buffer[:4])) == [2, 3, 4, 5]
    assert episode_numbers(buffer.sample_latest(3)) == [3, 4, 5]


def test_a_batch_larger_than_the_buffer_leaves_its_last_episodes(kit, buffer):
    buffer.insert_episode_batch(kit.episodes([2]))
    buffer.insert_episode_batch(kit.episodes([2] * 6, 1))
    assert sorted(episode_numbers(buffer[:4])) == [3, 4, 5, 6]
    assert episode_numbers(buffer.sample_latest(4)) == [3, 4, 5, 6]


def test_a_shorter_batch_leaves_nothing_of_the_episode_before(kit, buffer):
    buffer.insert_episode_batch(kit.episodes([8] * 4))
    buffer.insert_episode_batch(kit.episodes([2])[:, :3])
    assert buffer[0]["filled"].sum() == 3
    assert buffer[0].max_t_filled() == 3


def test_longer_episodes_than_the_buffer_was_made_for_are_refused(kit):
    short = ReplayBuffer(kit.scheme, kit.groups, 4, 5, kit.preprocess)
    with pytest.raises(ValueError, match="9 steps do not fit"):
        short.insert_episode_batch(kit.episodes([2]))


def test_sampling_is_without_replacement_and_a_function_of_the_seed(kit):
    draws = []
    for seed in (1, 1, 2):
        buffer = ReplayBuffer(kit.scheme, kit.groups, 64, kit.max_seq_length, kit.preprocess, seed=seed)
        buffer.insert_episode_batch(kit.episodes([2] * 64))
        torch.manual_seed(torch.seed())
        draws.append([episode_numbers(buffer.sample(16)) for _ in range(3)])
    assert draws[0] == draws[1] != draws[2]
    assert all(len(set(draw)) == 16 for draw in draws[0])


def test_too_few_episodes_cannot_be_sampled(kit, buffer):
    buffer.insert_episode_batch(kit.episodes([2]))
    assert buffer.can_sample(1)
    assert not buffer.can_sample(2)
    with pytest.raises(ValueError, match="2 episodes asked for, 1 in the buffer"):
        buffer.sample(2)


def test_a_sample_is_a_copy(kit, buffer):
    buffer.insert_episode_batch(kit.episodes([2]))
    buffer.sample(1)["state"].fill_(-1)
    assert buffer.sample(1)["state"][0, 0, 0] == 0


def test_state_goes_through_a_file_and_the_draws_go_on(kit, buffer):
    buffer.insert_episode_batch(kit.episodes([2, 3, 4]))
    buffer.sample(2)
    file = io.BytesIO()
    torch.save(buffer.state_dict(), file)
    file.seek(0)
    other = ReplayBuffer(kit.scheme, kit.groups, 4, kit.max_seq_length, kit.preprocess, seed=99)
    other.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(5):
        ours, theirs = buffer.sample(2), other.sample(2)
        assert torch.equal(ours["state"], theirs["state"])
        assert torch.equal(ours["filled"], theirs["filled"])
    assert other.buffer_index == 3


def with_files(kit, directory, size=4):
    return ReplayBuffer(kit.scheme, kit.groups, size, kit.max_seq_length, kit.preprocess, seed=1, directory=directory)


def assert_same_episodes(one, two):
    a, b = one[: one.episodes_in_buffer], two[: two.episodes_in_buffer]
    assert torch.equal(a["filled"], b["filled"])
    for key in ("state", "obs", "avail_actions", "actions", "reward", "terminated"):
        real = a["filled"].bool().view(*a["filled"].shape[:2], *[1] * (a[key].dim() - 2))
        assert torch.equal(a[key] * real, b[key] * real)


def test_with_a_directory_a_state_writes_what_is_new_and_deletes_what_no_state_needs(kit, tmp_path):
    buffer = with_files(kit, tmp_path)
    written, deleted = [], []
    files = set()
    for lengths in ([2, 3], [4], [], [2, 2], [3], [3]):
        if lengths:
            buffer.insert_episode_batch(kit.episodes(lengths))
        state = buffer.state_dict()
        now = {path.name for path in tmp_path.iterdir()}
        written.append(now - files)
        deleted.append(files - now)
        files = now
        again = with_files(kit, tmp_path)
        again.load_state_dict(state)
        assert_same_episodes(buffer, again)
    assert written == [{"0-2.pt"}, {"2-3.pt"}, set(), {"3-5.pt"}, {"5-6.pt"}, {"6-7.pt"}]
    assert deleted == [set(), set(), set(), set(), set(), {"0-2.pt"}]


def test_many_episodes_go_into_several_files(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(episode_files, "EPISODES_PER_FILE", 2)
    buffer = with_files(kit, tmp_path, size=6)
    buffer.insert_episode_batch(kit.episodes([2, 3, 4, 2, 3]))
    again = with_files(kit, tmp_path, size=6)
    again.load_state_dict(buffer.state_dict())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-2.pt", "2-4.pt", "4-5.pt"]
    assert_same_episodes(buffer, again)


def test_a_buffer_in_another_directory_reads_the_files_and_writes_its_own(kit, tmp_path):
    buffer = with_files(kit, tmp_path / "one")
    buffer.insert_episode_batch(kit.episodes([2, 3, 4, 2, 3]))
    state = buffer.state_dict()
    other = with_files(kit, tmp_path / "two")
    other.load_state_dict(state)
    assert_same_episodes(buffer, other)
    assert other.buffer_index == 1
    other.state_dict()
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["1-5.pt"]
    for path in (tmp_path / "one").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"episodes are not there: .*one/1-5.pt is missing"):
        other.load_state_dict(state)


def test_a_buffer_larger_than_memory_is_refused_with_the_figures(kit, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda place: 2**30)
    with pytest.raises(UserError, match=r"buffer_size=10000000 .* need 5\.6 GiB, and 1\.0 GiB are free .* At most \d+"):
        ReplayBuffer(kit.scheme, kit.groups, 10_000_000, kit.max_seq_length, kit.preprocess)


def test_the_size_that_the_refusal_names_is_accepted(kit, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda place: 100_000)
    with pytest.raises(UserError) as caught:
        ReplayBuffer(kit.scheme, kit.groups, 10_000, kit.max_seq_length, kit.preprocess)
    fits = int(str(caught.value).split("At most ")[1].split()[0])
    assert ReplayBuffer(kit.scheme, kit.groups, fits, kit.max_seq_length, kit.preprocess).buffer_size == fits > 50
