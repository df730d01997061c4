"""Everything a run needs to go on as if it had never stopped, in one file that is always whole (a replay buffer's
episodes lie in files of their own beside it, in `buffer/`).

`results/models/<token>/checkpoint.pt` holds the state; `checkpoint.json` beside it says whose it is, so that
`resume=auto` finds the newest one of the same configuration without opening any.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configuration import dotted
from run.identity import FREE_KEYS, configuration_hash
from utils.errors import UserError
from utils.files import write_atomically, write_json

FORMAT = 2
FILE, LABEL = "checkpoint.pt", "checkpoint.json"


def save(folder: Path, state: Mapping[str, Any], label: Mapping[str, Any]) -> Path:
    """Write the state and its label into `folder`; return the checkpoint's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, **state}
    write_atomically(folder / FILE, lambda path: torch.save(content, path))
    write_json(folder / LABEL, dict(label))
    return folder / FILE


def load(path: Path, what: str = "checkpoint", expected: int = FORMAT) -> dict[str, Any]:
    """Read a checkpoint, or another file of ours (tensors, numbers, text and containers; nothing in it is executed)."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no such file end in errors of any kind
        reason = str(error).split("\n")[0]
        raise UserError(f"The {what} {path} cannot be read: {reason}.") from None
    found = state.get("format") if isinstance(state, dict) else None
    if found != expected:
        raise UserError(f"The {what} {path} has format {found}; this version reads format {expected}.")
    _relocate(state, path.resolve().parent)
    return state


def _relocate(state: dict[str, Any], folder: Path) -> None:
    """Let every `directory` below a checkpoint's folder be where that folder is now: it may have been moved."""
    for name, value in state.items():
        if isinstance(value, dict):
            _relocate(value, folder)
        elif name == "directory" and folder.name in (parts := Path(value).parts):
            state[name] = str(folder.joinpath(*parts[parts.index(folder.name) + 1 :]))


def newest(models: Path, configuration: str, seed: int | None, part_of: tuple[str, str] = ("", "")) -> Path | None:
    """Return the newest checkpoint under `models` of this configuration (and of this seed unless None).

    `part_of` is `experiment_of(config)`: runs of an experiment go on from their own checkpoints, no other run does.
    """
    found: list[tuple[float, Path]] = []
    for label_path in models.glob(f"*/{LABEL}"):
        try:
            label = json.loads(label_path.read_text(encoding="utf-8"))
            same = label["configuration"] == configuration and experiment_of(label["config"]) == part_of
            if same and seed in (None, label["seed"]):
                checkpoint = label_path.with_name(FILE)
                found.append((checkpoint.stat().st_mtime, checkpoint))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not one of ours, or its run is being removed
    return max(found)[1] if found else None


def experiment_of(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return the experiment that a run belongs to, and which of its runs it is; empty for a run by itself."""
    return config.get("experiment", ""), config.get("experiment_run", "")


def find(resume: str, models: Path, config: Mapping[str, Any]) -> Path | None:
    """Resolve the key `resume`: a checkpoint, a folder that holds one, or "auto" (None where there is none yet)."""
    if resume == "auto":
        return newest(models, configuration_hash(config), config.get("seed"), experiment_of(config))
    path = Path(resume)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise UserError(f'resume="{resume}" names no checkpoint; give its folder, its file, or "auto".')
    return path


def require_same(checkpoint: Path, config: Mapping[str, Any]) -> int:
    """Return the checkpoint's seed; raise a `UserError` that names the keys in which its configuration differs."""
    try:
        label = json.loads(checkpoint.with_name(LABEL).read_text(encoding="utf-8"))
        seed, theirs = int(label["seed"]), dict(label["config"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"The checkpoint {checkpoint} has no readable {LABEL} beside it.") from None
    if config["seed"] not in (None, seed):
        raise UserError(f"The checkpoint {checkpoint} is of seed {seed}, not {config['seed']}.")
    if configuration_hash(theirs) != configuration_hash(config):
        ours, other = (dict(dotted(content)) for content in (config, theirs))
        skipped = {*FREE_KEYS, "env_args", "env_args.seed"}
        different = sorted(key for key in {*ours, *other} - skipped if ours.get(key) != other.get(key))
        keys = f"{different[0]} differs" if len(different) == 1 else f"{', '.join(different)} differ"
        raise UserError(f"The checkpoint {checkpoint} is of another configuration: {keys}.")
    return seed


def random_state() -> dict[str, Any]:
    """Return the state of the global generators of Python, NumPy and torch."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": [str(kind), [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Set the global generators to `random_state()`."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
