"""One ring of imagined transitions for each auxiliary policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.memory import compact_dtype
from components.provenance import AuxiliaryData, ProvenanceError
from components.segment_store import FieldSpec, SegmentStore


class AuxiliaryRings:
    """`n_rings` rings of `ring_size` transitions; the first data added decide the fields, their shapes and dtypes."""

    def __init__(self, n_rings: int, ring_size: int, directory: Path | None = None) -> None:
        self.n_rings = n_rings
        self.ring_size = ring_size
        self.directory = directory
        self._dtypes: dict[str, torch.dtype] = {}
        self._rings: list[SegmentStore] = []

    def add(self, i: int, data: AuxiliaryData) -> None:
        """Store the transitions of auxiliary `i`, over its oldest when the ring is full."""
        self._check(i, data)
        tensors = {key: value.detach().cpu() for key, value in data.tensors.items()}
        if not self._rings:
            self._dtypes = {key: value.dtype for key, value in tensors.items()}
            fields = {
                key: (tuple(value.shape[1:]), torch.empty(0, dtype=compact_dtype(key, value.dtype)).numpy().dtype)
                for key, value in tensors.items()
            }
            self._rings = self._make_rings(fields)
        ring = self._rings[i]
        ring.append({key: value[-self.ring_size :].numpy() for key, value in tensors.items()})
        ring.drop_before(ring.end - self.ring_size)

    def steps(self, i: int | None = None) -> int:
        """Transitions in ring `i`, or in all."""
        rings = self._rings if i is None else self._rings[i : i + 1]
        return sum(len(ring) for ring in rings)

    def sample(self, n: int, generator: torch.Generator) -> AuxiliaryData:
        """`n` transitions, uniformly over all rings, with replacement; `source` is the ring's number plus 1."""
        cumulative = np.cumsum([len(ring) for ring in self._rings]) if self._rings else np.zeros(1, np.int64)
        if cumulative[-1] == 0:
            raise ValueError("no auxiliary has added a transition yet")
        ticket = torch.randint(int(cumulative[-1]), (n,), generator=generator, device=generator.device).cpu().numpy()
        source = np.searchsorted(cumulative, ticket, side="right")
        tensors: dict[str, Tensor] = {
            key: torch.empty((n, *self._rings[0].fields[key][0]), dtype=dtype) for key, dtype in self._dtypes.items()
        }
        for number in np.unique(source):
            here = source == number
            ring = self._rings[number]
            rows = ring.first + ticket[here] - (cumulative[number] - len(ring))
            for key, array in ring.gather(rows).items():
                tensors[key][torch.from_numpy(here)] = torch.from_numpy(array).to(self._dtypes[key])
        tensors["source"] = torch.from_numpy(source + 1)
        return AuxiliaryData(tensors)

    def state_dict(self) -> dict[str, Any]:
        """All rings."""
        return {
            "rings": [ring.state_dict() for ring in self._rings],
            "dtypes": {key: torch.empty(0, dtype=dtype) for key, dtype in self._dtypes.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._dtypes = {key: example.dtype for key, example in state["dtypes"].items()}
        self._rings = []
        if state["rings"]:
            spec = state["rings"][0]["fields"]
            self._rings = self._make_rings({key: (tuple(shape), np.dtype(code)) for key, (shape, code) in spec.items()})
        for ring, ring_state in zip(self._rings, state["rings"]):
            ring.load_state_dict(ring_state)

    def _make_rings(self, fields: FieldSpec) -> list[SegmentStore]:
        rows = -(-self.ring_size // 4)
        folders = [self.directory / f"{i:03d}" if self.directory else None for i in range(self.n_rings)]
        return [SegmentStore(fields, rows, folder) for folder in folders]

    def _check(self, i: int, data: AuxiliaryData) -> None:
        if type(data) is not AuxiliaryData:
            raise ProvenanceError(f"auxiliary rings take AuxiliaryData, {type(data).__name__} was offered")
        if not 0 <= i < self.n_rings:
            raise ValueError(f"there is no auxiliary {i}; they are numbered 0 to {self.n_rings - 1}")
        if "source" in data:
            raise ValueError('"source" is made by the rings themselves: leave it out')
        for key, value in data.tensors.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise ValueError(f'auxiliary {i}: "{key}" holds NaN or infinity')
        fields = {key: tuple(value.shape[1:]) for key, value in data.tensors.items()}
        known = {key: shape for key, (shape, _) in self._rings[0].fields.items()} if self._rings else fields
        if fields != known:
            raise ValueError(f"auxiliary {i}: fields {fields} differ from those stored before, {known}")
