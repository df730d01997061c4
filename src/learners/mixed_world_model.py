"""The ablation that AMAL exists to prevent: a world model which also learns from what auxiliaries did inside it.

Chosen by `world_model_data: "mixed"`. Everything else is the world model of `world_model_learner`, so that the two
differ by nothing but the data. What it shows: docs/results/amal.md.
"""

from __future__ import annotations

import torch

from components.asymmetric_buffer import AsymmetricBuffer, AuxiliaryData, MixedData, PrimaryData, ProvenanceError
from components.provenance import Data
from learners.world_model_learner import WorldModelLearner


class MixedWorldModelLearner(WorldModelLearner):
    """Draws `aux_ratio` of every mini-batch from the auxiliaries' buffers D_A, as soon as they hold anything."""

    def _draw(self, buffer: AsymmetricBuffer) -> Data:
        real = super()._draw(buffer)
        n_imagined = round(len(real) * self.args.aux_ratio)
        if not n_imagined or not buffer.auxiliary_steps():
            return real
        rows = buffer.sample_auxiliary(n_imagined, self.generator)
        windows = imagined_windows(rows, real["mask"].shape[1], self.generator)
        kept = PrimaryData({name: value[n_imagined:] for name, value in real.tensors.items()})
        joined = {name: torch.cat([kept[name], windows[name].to(kept[name].dtype)]) for name in windows}
        source = torch.cat([torch.zeros(len(kept), dtype=torch.long), rows["source"]])
        return MixedData(joined | {"source": source})

    def _require_origin(self, data: Data) -> None:
        if not isinstance(data, PrimaryData | MixedData):
            raise ProvenanceError(f"real or mixed data are required here, {type(data).__name__} was offered")


def imagined_windows(rows: AuxiliaryData, length: int, generator: torch.Generator) -> AuxiliaryData:
    """Stretches of `length` steps that start anywhere in stored rollouts, in the form of `sample_primary`.

    As there, the first step exists, frames behind the end repeat the last one, and `mask` tells which steps exist.
    """
    existing = rows["mask"]
    n, horizon = existing.shape
    start = torch.multinomial(existing.float(), 1, generator=generator)
    frames = start + torch.arange(length + 1)
    steps, row = frames[:, :-1], torch.arange(n).unsqueeze(1)
    inside = steps.clamp_max(horizon - 1)
    tensors = {name: rows[name][row, frames.clamp_max(horizon)] for name in ("state", "obs", "avail_actions")}
    tensors |= {name: rows[name][row, inside] for name in ("reward", "terminated")}
    tensors["actions"] = rows["previous_actions"][row, inside + 1].clamp_min(0)
    tensors["mask"] = existing[row, inside] & (steps < horizon)
    tensors["episode"] = rows["source"].neg()
    tensors["step"] = start.squeeze(1)
    return AuxiliaryData(tensors)
