"""The segment store: rows keep their numbers, whatever the segments do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.segment_store import SegmentStore

FIELDS = {"x": ((2,), np.dtype(np.float32)), "y": ((), np.dtype(np.int16))}


def rows(first, count):
    numbers = np.arange(first, first + count)
    return {"x": np.stack((numbers, -numbers), 1).astype(np.float32), "y": numbers.astype(np.int16)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=12), st.integers(1, 7))
def test_rows_are_found_under_their_numbers(steps, segment_rows):
    store = SegmentStore(FIELDS, segment_rows)
    for count, dropped in steps:
        assert store.append(rows(store.end, count)) == store.end - count
        store.drop_before(min(store.first + dropped, store.end - 1))
        wanted = np.arange(store.first, store.end)[::-1]
        found = store.gather(wanted)
        assert np.array_equal(found["y"], wanted)
        assert np.array_equal(found["x"], np.stack((wanted, -wanted), 1))
        assert len(store) == len(wanted)


def test_gather_keeps_the_shape_of_the_numbers_and_takes_the_fields_asked_for():
    store = SegmentStore(FIELDS, 4)
    store.append(rows(0, 10))
    found = store.gather(np.array([[1, 9, 3], [5, 5, 0]]), ["x"])
    assert set(found) == {"x"}
    assert found["x"][..., 0].tolist() == [[1, 9, 3], [5, 5, 0]]


def test_rows_given_up_cannot_be_read(tmp_path):
    store = SegmentStore(FIELDS, 4, tmp_path)
    store.append(rows(0, 10))
    store.drop_before(8)
    with pytest.raises(KeyError):
        store.gather(np.array([3]))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["00000002"]


def test_files_that_the_last_two_checkpoints_refer_to_stay(tmp_path):
    store = SegmentStore(FIELDS, 2, tmp_path)
    kept = []
    for step in range(6):
        store.append(rows(store.end, 2))
        store.drop_before(store.end - 2)
        if step in (1, 3, 5):
            store.state_dict()
        kept.append(sorted(int(folder.name) for folder in tmp_path.iterdir()))
    assert kept[2] == [1, 2], "segment 1 belongs to the only checkpoint"
    assert kept[3][0] == 1, "the second checkpoint may not have reached the disk yet"
    assert kept[5][0] == 3, "with the third one taken, the second one is on the disk"


@pytest.mark.parametrize("in_place", [True, False])
def test_files_are_taken_over_in_place_or_copied(tmp_path, in_place):
    store = SegmentStore(FIELDS, 3, tmp_path / "a")
    store.append(rows(0, 11))
    store.drop_before(4)
    state = store.state_dict()
    store.append(rows(50, 5))
    other = SegmentStore(FIELDS, 3, tmp_path / ("a" if in_place else "b"))
    other.load_state_dict(state)
    assert (other.first, other.end) == (4, 11)
    other.append(rows(11, 4))
    assert other.gather(np.arange(4, 15))["y"].tolist() == list(range(4, 15))
    if not in_place:
        assert store.gather(np.arange(11, 16))["y"].tolist() == list(range(50, 55))
