"""Trains the world model on the primary team's real episodes, and on nothing else.

Everything here is a function of the primary data alone: which transitions are drawn and in which order (a generator of
its own), how many updates are made and when (counted in real transitions), the scales of inputs and targets, and the
held-out split. That is the isolation which AMAL promises; `tests/learners/test_isolation.py` holds it to the bit.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from components.asymmetric_buffer import AsymmetricBuffer, require_primary
from components.provenance import Data
from learners.world_model_metrics import held_out_metrics
from modules.world_models import StateLayout, WorldModel
from utils.optimizers import Adam
from utils.seeding import stream_seed, torch_stream


class WorldModelLearner:
    """Owns a world model, its optimizer and its random stream.

    Reads from `args`: `world_model` (entity | recurrent), `world_model_hidden`, `world_model_memory`,
    `world_model_bins`, `world_model_lr`, `world_model_min_steps`, `world_model_first_updates`,
    `world_model_updates_per_step`, `batch_size` (transitions of an update), `world_model_sequence_length`,
    `world_model_latest_share`, `world_model_latest_steps`,
    `world_model_ensemble`, `world_model_grad_norm_clip`, `held_out_every`, `seed`.
    """

    def __init__(self, args: SimpleNamespace, obs_dim: int) -> None:
        self.args, self.device = args, torch.device("cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(args.seed, "world_model"))
            self.model = WorldModel(
                StateLayout.from_args(args),
                obs_dim,
                trunk=args.world_model,
                hidden=list(args.world_model_hidden),
                memory=args.world_model_memory,
                bins=args.world_model_bins,
                ensemble=args.world_model_ensemble,
            )
        self.optimizer = Adam(self.model.parameters(), lr=args.world_model_lr, fused=True)
        self.generator = torch_stream(args.seed, "world_model", 1)
        self.steps_seen = 0
        self.fitted_at = 0
        self.updates = 0

    @property
    def ready(self) -> bool:
        """Whether the model has been trained at all."""
        return self.updates > 0

    def train(self, buffer: AsymmetricBuffer) -> dict[str, float]:
        """Make the updates that the primary transitions added since the last call have earned; returns mean losses."""
        total = buffer.primary_steps_added
        if total < self.args.world_model_min_steps:
            return {}
        first = not self.ready
        earned = (total - self.steps_seen) * self.args.world_model_updates_per_step
        n_updates = self.args.world_model_first_updates if first else round(earned)
        self.steps_seen = total
        if first or total >= 2 * self.fitted_at:
            self._fit_scales(buffer)
            self.fitted_at = total
        sums: dict[str, float] = {}
        for _ in range(n_updates):
            for name, value in self.update(self._draw(buffer)).items():
                sums[name] = sums.get(name, 0.0) + value
        return {name: value / max(n_updates, 1) for name, value in sums.items()}

    def _draw(self, buffer: AsymmetricBuffer) -> Data:
        """The sequences of one update."""
        length = self.args.world_model_sequence_length
        return buffer.sample_primary(
            max(1, self.args.batch_size // length),
            length,
            self.generator,
            split="train",
            held_out_every=self.args.held_out_every,
            latest=self.args.world_model_latest_steps,
            latest_share=self.args.world_model_latest_share,
        )

    def _require_origin(self, data: Data) -> None:
        require_primary(data)

    def update(self, data: Data) -> dict[str, float]:
        """One gradient step on real sequences.

        Raises:
            ProvenanceError: if the data are anything but `PrimaryData`.
        """
        self._require_origin(data)
        losses = self._losses(data)
        loss = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.args.world_model_grad_norm_clip)
        self.optimizer.step()
        # nothing that reads theta later may find a gradient of ours in it
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    @torch.no_grad()
    def evaluate(self, buffer: AsymmetricBuffer, generator: torch.Generator) -> dict[str, float]:
        """Measures on held-out real episodes beside their references; empty while no episode is held out."""
        return held_out_metrics(self.model, buffer, generator, self.args.held_out_every)

    def to(self, device: torch.device | str) -> None:
        """Move the model, and the optimizer's state with it, to `device`."""
        self.device = torch.device(device)
        self.model.to(self.device)
        self.optimizer.load_state_dict(self.optimizer.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Everything that training needs to go on as if it had not stopped."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "steps_seen": self.steps_seen,
            "fitted_at": self.fitted_at,
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.steps_seen, self.fitted_at, self.updates = state["steps_seen"], state["fitted_at"], state["updates"]

    def _fit_scales(self, buffer: AsymmetricBuffer) -> None:
        data = buffer.sample_primary(2048, 1, self.generator, split="train", held_out_every=self.args.held_out_every)
        states, keep = data["state"].to(self.device), data["mask"][:, 0].to(self.device)
        tokens = self.model.layout.tokens(states)
        self.model.fit_scales(tokens[:, 0][keep], tokens[:, 1][keep], data["reward"][:, 0].to(self.device)[keep])

    def _losses(self, data: Data) -> dict[str, Tensor]:
        model = self.model
        states, mask = data["state"].to(self.device), data["mask"].to(self.device).flatten().float()
        length = states.shape[1] - 1
        context = model.contexts(states[:, :length])
        next_tokens = model.layout.tokens(states[:, 1:]).flatten(0, 1)
        actions = data["actions"].to(self.device).flatten(0, 1)
        change = model.change_loss(model.predict(context, actions), context.tokens, next_tokens)
        if model.ensemble > 1:
            change = (change * self._bootstrap_weights(data["episode"].to(self.device), length)).mean(0)
        else:
            change = change[0]
        outcome = model.outcome_loss(
            context.tokens,
            next_tokens,
            data["reward"].to(self.device).flatten(),
            data["terminated"].to(self.device).flatten(),
        )
        count = mask.sum().clamp_min(1.0)
        # the frame before each step is real even where the step is padding's neighbour: views are learned on steps
        obs = data["obs"].to(self.device)[:, :length].flatten(0, 1)
        avail = data["avail_actions"].to(self.device)[:, :length].flatten(0, 1)
        real = mask.bool()
        return {
            "change_nll": (change * mask).sum() / count,
            "outcome_loss": (outcome * mask).sum() / count,
            "view_loss": model.view_loss(context.tokens[real], obs[real], avail[real]),
        }

    def _bootstrap_weights(self, episode: Tensor, length: int) -> Tensor:
        """Poisson(1) weights [E, S * L]: how often each member's bootstrap holds an episode, a hash of its number."""
        member = torch.arange(self.model.ensemble, device=episode.device).unsqueeze(1)
        mixed = (episode.unsqueeze(0) * 2654435761 + (member + 1) * 40503 + self.args.seed * 97) & 0xFFFFFFFF
        mixed = ((mixed ^ (mixed >> 16)) * 73244475) & 0xFFFFFFFF
        mixed = ((mixed ^ (mixed >> 16)) * 73244475) & 0xFFFFFFFF
        uniform = ((mixed ^ (mixed >> 16)) & 0xFFFFFF).float() / 0x1000000
        # distribution function of Poisson(1) at 0, 1, 2, 3, 4
        steps = torch.tensor([0.367879, 0.735759, 0.919699, 0.981012, 0.996340], device=episode.device)
        weights = (uniform.unsqueeze(-1) >= steps).sum(-1).float()
        return weights.repeat_interleave(length, dim=1)
