"""AMAL's two kinds of memory in one object: real episodes of the primary team, imagined transitions of the
auxiliaries.

The primary store is a ring of whole real episodes. Draws from it use the caller's generator and are functions of the
real data alone: nothing that auxiliaries add can change them. Each auxiliary has a ring of transitions of its own.
What is drawn carries its origin as its type (`components.provenance`); only `sample_mixed` joins the two, row by row
marked.
"""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from shutil import rmtree
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.auxiliary_rings import AuxiliaryRings
from components.episode_batch import EpisodeBatch, Scheme, add_derived_fields, value_shape
from components.episode_index import EpisodeIndex, Starts
from components.memory import compact_dtype, require_memory
from components.provenance import AuxiliaryData, MixedData, PrimaryData, ProvenanceError, require_primary
from components.segment_store import FieldSpec, SegmentStore, row_bytes
from utils.seeding import torch_stream

__all__ = ["AsymmetricBuffer", "AuxiliaryData", "MixedData", "PrimaryData", "ProvenanceError", "require_primary"]

FRAME_FIELDS = ("state", "obs", "avail_actions")
"""Fields that a step's successor has too: they are read with one more entry, the frame where the last step leads."""


class AsymmetricBuffer:
    """`buffer_size` real transitions (whole episodes, the oldest go first) and `n_auxiliary` rings of imagined ones.

    A row of imagined data is a transition, or a whole rollout of `auxiliary_row_steps` of them; `auxiliary_size`, the
    size of each ring, counts transitions.

    Scheme, groups and preprocess as for `EpisodeBatch`. A store that would take more than `memory_map_above` bytes
    lives in memory-mapped files below `directory` (None: a temporary one that goes with the buffer). Raises
    `UserError` when the stores would fit neither way.
    """

    def __init__(
        self,
        scheme: Scheme,
        groups: dict[str, int] | None,
        buffer_size: int,
        max_seq_length: int,
        preprocess: dict[str, tuple[str, list[Any]]] | None = None,
        device: str | torch.device = "cpu",
        n_auxiliary: int = 16,
        auxiliary_size: int = 10_000,
        auxiliary_row_steps: int = 1,
        memory_map_above: int = 2**31,
        directory: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        self.scheme: Scheme = dict(scheme)
        self.groups = dict(groups or {})
        self.buffer_size = buffer_size
        self.max_seq_length = max_seq_length
        self.preprocess = dict(preprocess or {})
        self.device = device
        self._generator = torch_stream(seed, "buffer")
        derived = add_derived_fields(self.scheme, self.preprocess)
        self.scheme["filled"] = {"vshape": (1,), "dtype": torch.long}
        fields = self._stored_fields(derived)
        primary_bytes = row_bytes(fields) * (buffer_size + buffer_size // max(1, max_seq_length - 1))
        auxiliary_bytes = 2 * row_bytes(fields) * n_auxiliary * auxiliary_size
        primary_mapped, auxiliary_mapped = primary_bytes > memory_map_above, auxiliary_bytes > memory_map_above
        folder = self._directory(directory) if primary_mapped or auxiliary_mapped else None
        for mapped, n_bytes, what, size in (
            (primary_mapped, primary_bytes, f"buffer_size={buffer_size} real transitions", buffer_size),
            (
                auxiliary_mapped,
                auxiliary_bytes,
                f"{n_auxiliary} x {auxiliary_size} imagined transitions",
                auxiliary_size,
            ),
        ):
            require_memory(n_bytes, folder if mapped and folder else torch.device("cpu"), what, size)
        segment_rows = max(max_seq_length, -(-buffer_size // 16))
        self._frames = SegmentStore(fields, segment_rows, folder / "primary" if folder and primary_mapped else None)
        self._episodes = EpisodeIndex()
        self._auxiliaries = AuxiliaryRings(
            n_auxiliary,
            max(1, auxiliary_size // auxiliary_row_steps),
            folder / "auxiliary" if folder and auxiliary_mapped else None,
        )

    # --- real episodes ---------------------------------------------------------------------------------------------

    @property
    def primary_steps_added(self) -> int:
        """Real transitions ever stored, those given up included."""
        return self._episodes.steps_added

    @property
    def primary_steps(self) -> int:
        """Real transitions that are there now."""
        return self._episodes.steps

    @property
    def episodes_in_buffer(self) -> int:
        """Real episodes that are there now."""
        return len(self._episodes)

    def insert_episode_batch(self, ep_batch: EpisodeBatch) -> None:
        """Store the real episodes of `ep_batch`; each needs its closing frame, as PyMARL's runners write it."""
        data = ep_batch.data.transition_data
        n_frames = data["filled"].flatten(1).sum(1).tolist()
        arrays = {key: data[key].detach().cpu().numpy() for key in self._frames.fields}
        for row, length in enumerate(n_frames):
            if length < 2:
                continue
            start = self._frames.append({key: array[row, :length] for key, array in arrays.items()})
            self._episodes.append(start, length - 1)
        self._episodes.evict_down_to(self.buffer_size)
        self._frames.drop_before(self._episodes.first_row(self._frames.end))

    add_primary = insert_episode_batch

    def has_held_out(self, held_out_every: int) -> bool:
        """Whether a held-out episode is there: every `held_out_every`-th of all real episodes is one."""
        return self._episodes.select("held_out", held_out_every).steps > 0

    def sample_primary(
        self,
        n_sequences: int,
        length: int,
        generator: torch.Generator,
        split: str = "all",
        held_out_every: int = 10,
        latest: int | None = None,
        latest_share: float = 0.0,
    ) -> PrimaryData:
        """Real sequences of `length` steps that start at transitions drawn uniformly and stay in their episode; a share
        of them start among the newest episodes, which hold the `latest` transitions.

        `state`, `obs`, `avail_actions`: [n_sequences, length + 1, ...]; `actions`, `reward`, `terminated`:
        [n_sequences, length, ...] without trailing axes of length 1; `mask` bool [n_sequences, length]: real steps,
        the first always is one; `episode` and `step` int64 [n_sequences]: where the sequence starts. Behind an
        episode's end frames repeat the closing one and all else is 0. `split`: "train", "held_out" (every
        `held_out_every`-th episode) or "all".
        """
        n_latest = round(latest_share * n_sequences)
        draws = [
            self._episodes.draw(n, generator, split, held_out_every, latest=limit)
            for n, limit in ((n_sequences - n_latest, None), (n_latest, latest))
            if n
        ]
        starts = Starts(*(np.concatenate(parts) for parts in zip(*draws, strict=True)))
        steps = np.arange(length + 1)
        rows = np.minimum(starts.row[:, None] + steps, starts.closing_row[:, None])
        mask = starts.row[:, None] + steps[:-1] < starts.closing_row[:, None]
        tensors = self._read(rows, torch.from_numpy(mask))
        tensors["episode"] = torch.from_numpy(starts.episode)
        tensors["step"] = torch.from_numpy(starts.step)
        return PrimaryData(tensors)

    def sample_primary_states(
        self,
        n: int,
        generator: torch.Generator,
        split: str = "all",
        held_out_every: int = 10,
        history: int = 0,
        first_steps: int | None = None,
        latest: int | None = None,
    ) -> PrimaryData:
        """Frames of transitions drawn uniformly (if given, of the `first_steps` of each episode, or of the newest
        episodes, which hold the `latest` transitions), for imagination to start from, with up to `history` steps
        before them, and no more than the longest of them has.

        `state`, `obs`, `avail_actions`: [n, history + 1, ...], the starting frame last; `actions`, `reward`,
        `terminated`: [n, history, ...]; `mask` bool [n, history]: steps that exist (an episode's start has none
        before it; there frames repeat the first and all else is 0); `episode` and `step` int64 [n] of the starting
        frame.
        """
        starts = self._episodes.draw(n, generator, split, held_out_every, first_steps, latest)
        history = min(history, int(starts.step.max()))
        offsets = np.arange(-history, 1)
        first_row = starts.row - starts.step
        rows = np.maximum(starts.row[:, None] + offsets, first_row[:, None])
        mask = starts.row[:, None] + offsets[:-1] >= first_row[:, None]
        tensors = self._read(rows, torch.from_numpy(mask))
        tensors["episode"] = torch.from_numpy(starts.episode)
        tensors["step"] = torch.from_numpy(starts.step)
        return PrimaryData(tensors)

    def sample_episodes(self, n: int, generator: torch.Generator) -> EpisodeBatch:
        """`n` different whole real episodes as an `EpisodeBatch`, uniformly."""
        if n > len(self._episodes):
            raise ValueError(f"{n} episodes asked for, {len(self._episodes)} in the buffer")
        chosen = torch.randperm(len(self._episodes), generator=generator)[:n].numpy()
        start, steps = self._episodes.start[chosen], self._episodes.length[chosen]
        times = np.arange(self.max_seq_length)
        rows = start[:, None] + np.minimum(times, steps[:, None])
        filled = torch.from_numpy(times <= steps[:, None])
        data = SimpleNamespace(transition_data={"filled": filled.long().unsqueeze(-1)}, episode_data={})
        for key, array in self._frames.gather(rows).items():
            value = torch.from_numpy(array).to(self._dtype(key))
            data.transition_data[key] = _zero_where_not(filled, value)
        batch = EpisodeBatch(
            self.scheme, self.groups, n, self.max_seq_length, data=data, preprocess=self.preprocess, device="cpu"
        )
        return batch.to(self.device)

    def can_sample(self, batch_size: int) -> bool:
        """Whether `batch_size` real episodes are there."""
        return len(self._episodes) >= batch_size

    def sample(self, batch_size: int) -> EpisodeBatch:
        """`batch_size` real episodes, drawn from the buffer's own stream, for learners that know nothing of AMAL."""
        return self.sample_episodes(batch_size, self._generator)

    # --- imagined transitions --------------------------------------------------------------------------------------

    @property
    def n_auxiliary(self) -> int:
        """Number of auxiliary rings."""
        return self._auxiliaries.n_rings

    def add_auxiliary(self, i: int, data: AuxiliaryData) -> None:
        """Store imagined transitions [N, ...] of auxiliary `i`; its oldest go when its ring is full.

        Raises:
            ProvenanceError: if the data are not `AuxiliaryData`.
            ValueError: on NaN or infinity, or if the fields differ from those stored before.
        """
        self._auxiliaries.add(i, data)

    def auxiliary_steps(self, i: int | None = None) -> int:
        """Rows (imagined transitions or rollouts) in the ring of auxiliary `i`, or in all rings."""
        return self._auxiliaries.steps(i)

    def sample_auxiliary(self, n: int, generator: torch.Generator) -> AuxiliaryData:
        """`n` imagined transitions drawn uniformly from all rings; `source` int64 [n] is i + 1 for auxiliary i."""
        return self._auxiliaries.sample(n, generator)

    def sample_mixed(self, n: int, aux_ratio: float, generator: torch.Generator) -> MixedData:
        """`n` transitions, for the policy alone: round(n * aux_ratio) imagined ones behind real ones, `source` tells.

        Only fields that both kinds have are there: of real ones `state`, `obs`, `avail_actions` (and each with
        `next_`), `actions`, `reward`, `terminated`. All are real as long as no auxiliary has added anything.
        """
        n_auxiliary = round(n * aux_ratio) if self._auxiliaries.steps() else 0
        real = _as_transitions(self.sample_primary(n - n_auxiliary, 1, generator)) if n > n_auxiliary else None
        imagined = self._auxiliaries.sample(n_auxiliary, generator).tensors if n_auxiliary else None
        if real is None or imagined is None:
            return MixedData(dict(real or imagined or {}))
        common = [key for key in real if key in imagined]
        return MixedData({key: torch.cat((real[key], imagined[key].to(real[key].dtype))) for key in common})

    # --- checkpoints -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Both kinds of memory; memory-mapped stores are synced to disk and referred to, not copied."""
        return {
            "frames": self._frames.state_dict(),
            "episodes": self._episodes.state_dict(),
            "auxiliaries": self._auxiliaries.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._frames.load_state_dict(state["frames"])
        self._episodes.load_state_dict(state["episodes"])
        self._auxiliaries.load_state_dict(state["auxiliaries"])
        self._generator.set_state(state["generator"].cpu())

    def __repr__(self) -> str:
        return (
            f"AsymmetricBuffer({self.primary_steps}/{self.buffer_size} real transitions in {len(self._episodes)} "
            f"episodes, {self.auxiliary_steps()} imagined)"
        )

    def _stored_fields(self, derived: dict[str, Any]) -> FieldSpec:
        fields: FieldSpec = {}
        for key, info in self.scheme.items():
            if key in derived or key == "filled":
                continue
            if info.get("episode_const", False):
                raise ValueError(f'"{key}" is an episode field; the asymmetric buffer stores transition fields only')
            dtype = compact_dtype(key, info.get("dtype", torch.float32))
            fields[key] = (value_shape(key, info, self.groups), torch.empty(0, dtype=dtype).numpy().dtype)
        return fields

    def _dtype(self, key: str) -> torch.dtype:
        return self.scheme[key].get("dtype", torch.float32)

    def _directory(self, directory: str | Path | None) -> Path:
        if directory is not None:
            Path(directory).mkdir(parents=True, exist_ok=True)
            return Path(directory)
        temporary = Path(tempfile.mkdtemp(prefix="asymmetric_buffer_"))
        weakref.finalize(self, rmtree, temporary, ignore_errors=True)
        return temporary

    def _read(self, rows: np.ndarray, mask: Tensor) -> dict[str, Tensor]:
        """Frames [S, K+1, ...], steps [S, K, ...] at frame numbers `rows` [S, K+1]; steps are 0 where `mask` is not."""
        tensors: dict[str, Tensor] = {"mask": mask}
        arrays = self._frames.gather(rows, [key for key in self._frames.fields if key in FRAME_FIELDS])
        arrays |= self._frames.gather(rows[:, :-1], [key for key in self._frames.fields if key not in FRAME_FIELDS])
        for key, array in arrays.items():
            value = torch.from_numpy(array).to(self._dtype(key))
            if key not in FRAME_FIELDS:
                value = _zero_where_not(mask, value)
                value = value.squeeze(-1) if self._frames.fields[key][0][-1:] == (1,) else value
            tensors[key] = value
        return tensors


def _zero_where_not(mask: Tensor, value: Tensor) -> Tensor:
    return value.masked_fill(~mask.reshape(*mask.shape, *[1] * (value.dim() - mask.dim())), 0)


def _as_transitions(data: PrimaryData) -> dict[str, Tensor]:
    """Sequences of one step as transitions [N, ...] with `next_` frames and `source` 0."""
    tensors: dict[str, Tensor] = {"source": torch.zeros(len(data), dtype=torch.long)}
    for key in data:
        if key in FRAME_FIELDS:
            tensors[key], tensors[f"next_{key}"] = data[key][:, 0], data[key][:, 1]
        elif key not in ("mask", "episode", "step"):
            tensors[key] = data[key][:, 0]
    return tensors
