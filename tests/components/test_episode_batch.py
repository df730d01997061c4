"""`EpisodeBatch` behaves as PyMARL's does, and its memory is open to runners that write by NumPy."""

import copy

import numpy as np
import pytest
import torch

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot


def test_fields_have_pymarl_shapes_and_dtypes(kit):
    batch = kit.batch(2)
    assert batch["obs"].shape == (2, 9, 3, 2)
    assert batch["state"].shape == (2, 9, 4)
    assert batch["actions"].dtype == torch.int64
    assert batch["avail_actions"].dtype == torch.int32
    assert batch["terminated"].dtype == torch.uint8
    assert batch["filled"].dtype == torch.int64
    assert batch["filled"].shape == (2, 9, 1)
    assert batch["actions_onehot"].shape == (2, 9, 3, 5)
    assert batch.scheme["actions_onehot"]["vshape"] == (5,)


def test_scheme_given_by_the_caller_stays_as_it_was(kit):
    before = copy.deepcopy(kit.scheme)
    kit.batch()
    assert kit.scheme == before


def test_update_writes_what_a_pymarl_runner_hands_over(kit):
    batch = kit.batch(2)
    state, obs = np.arange(4.0), [np.full(2, i, np.float64) for i in range(3)]
    avail = [[1, 0, 1, 0, 1]] * 3
    batch.update({"state": [state], "obs": [obs], "avail_actions": [avail]}, bs=[1], ts=4)
    batch.update({"actions": torch.tensor([[3, 1, 0]])}, bs=[1], ts=4, mark_filled=False)
    batch.update({"reward": [(2.5,)], "terminated": [(True,)]}, bs=[1], ts=4, mark_filled=False)
    assert batch["state"][1, 4].tolist() == [0, 1, 2, 3]
    assert batch["obs"][1, 4, 2].tolist() == [2, 2]
    assert batch["avail_actions"][1, 4, 0].tolist() == [1, 0, 1, 0, 1]
    assert batch["actions"][1, 4].flatten().tolist() == [3, 1, 0]
    assert batch["reward"][1, 4].item() == 2.5
    assert batch["terminated"][1, 4].item() == 1
    assert batch["filled"].sum() == 1
    assert batch["filled"][1, 4] == 1


def test_update_takes_slices_of_all_kinds(kit):
    batch = kit.batch(3)
    batch.update({"reward": torch.arange(3.0).reshape(3, 1)}, ts=0)
    batch.update({"reward": torch.arange(6.0).reshape(3, 2, 1)}, bs=slice(None), ts=slice(1, 3))
    batch.update({"reward": torch.tensor([[7.0], [8.0]])}, bs=torch.tensor([2, 0]), ts=3)
    batch.update({"reward": 9.0}, bs=1, ts=-1)
    assert batch["reward"][:, 0, 0].tolist() == [0, 1, 2]
    assert batch["reward"][2, 1:3, 0].tolist() == [4, 5]
    assert batch["reward"][:, 3, 0].tolist() == [8, 0, 7]
    assert batch["reward"][1, 8, 0] == 9


def test_update_refuses_wrong_shapes_unknown_fields_and_derived_fields(kit):
    batch = kit.batch()
    with pytest.raises(ValueError, match=r'"state".*\[2, 5\]'):
        batch.update({"state": torch.zeros(2, 5)}, ts=0)
    with pytest.raises(KeyError, match="no field"):
        batch.update({"stat": torch.zeros(2, 4)}, ts=0)
    with pytest.raises(KeyError, match='computed from "actions"'):
        batch.update({"actions_onehot": torch.zeros(2, 3, 5)}, ts=0)


def test_numpy_views_write_into_the_batch(kit):
    batch = kit.batch()
    obs, actions = (batch.data.transition_data[key].numpy() for key in ("obs", "actions"))
    assert obs.flags.c_contiguous
    obs[1, 2] = 5.0
    actions[1, 2, :, 0] = [4, 0, 2]
    batch.mark_filled(2, rows=[1])
    assert batch["obs"][1, 2].eq(5).all()
    assert batch["actions_onehot"][1, 2].argmax(-1).tolist() == [4, 0, 2]


def test_one_hots_follow_every_write_and_are_zero_where_nothing_was_written(kit):
    batch = kit.batch(1)
    assert batch["actions_onehot"].sum() == 0
    batch.update({"actions": torch.tensor([[1, 2, 3]])}, ts=0)
    assert batch["actions_onehot"][0, 0].argmax(-1).tolist() == [1, 2, 3]
    batch["actions"][0, 0] = 4
    assert batch["actions_onehot"][0, 0].argmax(-1).tolist() == [4, 4, 4]
    batch.data.transition_data["actions"].numpy()[0, 1] = 2
    batch.mark_filled(1)
    assert batch["actions_onehot"][0, :2].argmax(-1).tolist() == [[4] * 3, [2] * 3]
    assert batch["actions_onehot"][0, 2:].sum() == 0
    assert batch["actions_onehot"] is batch["actions_onehot"], "unchanged actions are not encoded again"


def test_one_hots_work_in_inference_mode(kit):
    with torch.inference_mode():
        batch = kit.episodes([3])
        assert batch["actions_onehot"][0, :3].sum() == 9


def test_slices_share_memory_and_lists_copy(kit):
    batch = kit.episodes([3, 5])
    part = batch[:, : batch.max_t_filled()]
    assert (part.batch_size, part.max_seq_length) == (2, 6)
    part["state"][0, 0] = -1
    assert batch["state"][0, 0].eq(-1).all()
    chosen = batch[[1, 0, 1]]
    assert chosen.batch_size == 3
    assert chosen["state"][1, 0, 0] == -1
    chosen["state"][1, 0] = 7
    assert batch["state"][0, 0, 0] == -1


@pytest.mark.parametrize(
    ("item", "shape"),
    [
        (0, (1, 9)),
        (-1, (1, 9)),
        (slice(1, None), (1, 9)),
        ((slice(None), 0), (2, 1)),
        ((slice(None), -1), (2, 1)),
        ((slice(None), slice(None, -1)), (2, 8)),
        (([1, 0], slice(2, 4)), (2, 2)),
        (torch.tensor([True, False]), (1, 9)),
        (np.array([1, 1, 0]), (3, 9)),
        ((torch.tensor(1), torch.tensor(3)), (1, 1)),
    ],
)
def test_indexing_keeps_both_axes(kit, item, shape):
    part = kit.batch(2)[item]
    assert (part.batch_size, part.max_seq_length) == shape
    assert part["obs"].shape[:2] == part["actions_onehot"].shape[:2] == shape


def test_time_is_indexed_by_numbers_and_slices_only(kit):
    with pytest.raises(IndexError, match="lists are for episodes"):
        kit.batch()[:, [0, 2]]


def test_a_tuple_of_names_gives_a_batch_of_those_fields(kit):
    part = kit.episodes([2])["actions", "actions_onehot", "filled"]
    assert set(part.data.transition_data) == {"actions", "actions_onehot", "filled"}
    assert part["actions_onehot"][0, :2].argmax(-1).tolist() == part["actions"][0, :2, :, 0].tolist()
    assert part.max_t_filled() == 3
    with pytest.raises(KeyError, match='no field "obs"'):
        part["obs"]


def test_max_t_filled_is_the_longest_episode_not_the_first(kit):
    assert kit.episodes([2, 7, 4]).max_t_filled() == 8
    assert kit.batch().max_t_filled() == 0


def test_episode_fields_have_no_time_axis():
    scheme = {"goal": {"vshape": (2,), "episode_const": True}, "state": {"vshape": (1,)}}
    batch = EpisodeBatch(scheme, {}, 3, 4)
    batch.update({"goal": torch.ones(1, 2)}, bs=[1])
    assert batch["goal"].sum() == 2
    assert batch["filled"].sum() == 0
    assert batch[1:, :2]["goal"].shape == (2, 2)


def test_extend_adds_fields(kit):
    batch = kit.episodes([3])
    batch.extend({"advantage": {"vshape": (1,), "group": "agents"}})
    batch.update({"advantage": torch.ones(1, 9, 3, 1)}, mark_filled=False)
    assert batch["advantage"].sum() == 27
    assert batch.max_t_filled() == 4


def test_preprocess_chains_transforms_and_names_a_missing_source(kit):
    class Double(OneHot):
        def transform(self, tensor):
            return 2 * tensor

        def infer_output_info(self, vshape_in, dtype_in):
            return vshape_in, dtype_in

    scheme = {"a": {"vshape": (1,), "dtype": torch.long}}
    batch = EpisodeBatch(scheme, {}, 1, 2, preprocess={"a": ("a_coded", [Double(0), OneHot(5)])})
    batch.update({"a": [[[1], [2]]]})
    assert batch["a_coded"].argmax(-1).tolist() == [[2, 4]]
    with pytest.raises(ValueError, match='preprocess names "b"'):
        EpisodeBatch(scheme, {}, 1, 2, preprocess={"b": ("c", [])})


def test_a_group_without_a_size_is_an_error():
    with pytest.raises(ValueError, match='group "agents"'):
        EpisodeBatch({"obs": {"vshape": (1,), "group": "agents"}}, {}, 1, 2)


def test_clear_and_to(kit):
    batch = kit.episodes([3])
    assert batch.to("cpu") is batch
    assert batch.device == "cpu"
    batch.clear()
    assert not any(value.any() for value in batch.data.transition_data.values())
    assert batch["actions_onehot"].sum() == 0


def test_a_scheme_that_was_used_before_can_be_used_again(kit):
    first = kit.batch()
    second = EpisodeBatch(first.scheme, first.groups, 1, 3, preprocess=kit.preprocess)
    assert set(second.data.transition_data) == set(first.data.transition_data)


def test_an_empty_list_of_episodes_gives_an_empty_batch(kit):
    assert kit.batch()[[]].batch_size == 0
    assert kit.batch()[[]].max_t_filled() == 0
