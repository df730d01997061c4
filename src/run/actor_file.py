"""A trained team in one small file: the network that acts, and all that is needed to build and to understand it.

`save_actor` writes it, `load_actor` starts a run with it, `actors.load_actor` acts with it. The file holds tensors,
numbers, text and containers, and nothing in it is executed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from run import checkpoints
from run.identity import FREE_KEYS
from utils.errors import UserError
from utils.files import write_atomically

FORMAT = 1

# keys that decide what the network is and what it sees: they must agree between the file and the run that loads it
ACTING_KEYS = (
    *("mac", "agent", "agent_output_type", "obs_agent_id", "obs_last_action", "frame_stack"),
    *("rnn_hidden_dim", "hidden_layers", "use_layer_norm"),
)

_SIZES = {"n_agents": "agents", "n_actions": "actions", "obs_shape": "numbers in an observation"}


@dataclass(frozen=True)
class ActorFile:
    """What such a file holds.

    config: the keys of the run that trained it; env_info: sizes and names of its environment; t_env: environment steps
    it was trained for; weights: the network's parameters, on the CPU.
    """

    config: dict[str, Any]
    env_info: dict[str, Any]
    t_env: int
    weights: dict[str, Tensor]

    @property
    def origin(self) -> str:
        """Which algorithm was trained where and for how long, in words."""
        env_args = self.config["env_args"]
        place = env_args.get("map_name") or env_args.get("key") or self.config["env"]
        engine = self.config["engine_info"].get("engine")
        return f"{self.config['name']} on {place}{f' ({engine})' if engine else ''}, {self.t_env:,} steps"


def require_writable(path: str) -> None:
    """Make the folder that `path` is to lie in; UserError if no file can be written there."""
    target = Path(path)
    if target.is_dir():
        raise UserError(f'save_actor="{path}" is a folder; give the name of a file, as in {target / "team.pt"}.')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise UserError(f'save_actor="{path}" cannot be written: {error.strerror}.') from None


def write(path: str | Path, mac: Any, config: Mapping[str, Any], env_info: Mapping[str, Any], t_env: int) -> Path:
    """Write the team that `mac` controls; returns the file's path."""
    target = Path(path)
    content = {
        "format": FORMAT,
        "kind": "actor",
        "config": _plain({key: value for key, value in config.items() if key == "seed" or key not in FREE_KEYS}),
        "env_info": _plain(env_info),
        "t_env": int(t_env),
        "weights": {name: value.detach().cpu() for name, value in mac.agent.state_dict().items()},
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, lambda temporary: torch.save(content, temporary))
    return target


def read(path: str | Path) -> ActorFile:
    """Read such a file; UserError if it is none."""
    if not Path(path).is_file():
        raise UserError(f'There is no actor file "{path}"; a run with save_actor={path} writes it.')
    content = checkpoints.load(Path(path), "actor file", FORMAT)
    if content.get("kind") != "actor":
        raise UserError(f"{path} is no actor file but something else; a run with save_actor=FILE writes one.")
    return ActorFile(content["config"], content["env_info"], content["t_env"], content["weights"])


def require_same_keys(path: str, config: Mapping[str, Any]) -> None:
    """UserError if the actor in the file `path` is of another build than `config` asks for."""
    actor = read(path)
    differ = [key for key in ACTING_KEYS if actor.config.get(key) != config.get(key)]
    if differ:
        theirs = ", ".join(f"{key}={actor.config.get(key)}" for key in differ)
        ours = ", ".join(f"{key}={config.get(key)}" for key in differ)
        raise UserError(
            f"The actor in {path} ({actor.origin}) has {theirs}; this run has {ours}. "
            f"Take --config={actor.config['name']} or give these keys."
        )


def load_into(mac: Any, args: SimpleNamespace) -> ActorFile:
    """Give the controller of a run the network of the file `args.load_actor`; UserError if it does not fit."""
    actor = read(args.load_actor)
    sizes = {name: (actor.env_info[name], getattr(args, name)) for name in _SIZES}
    if any(theirs != ours for theirs, ours in sizes.values()):
        theirs, ours = (", ".join(f"{pair[i]} {_SIZES[name]}" for name, pair in sizes.items()) for i in (0, 1))
        raise UserError(f"The actor in {args.load_actor} ({actor.origin}) is for {theirs}; this run has {ours}.")
    put_weights(mac, actor, args.load_actor)
    return actor


def put_weights(mac: Any, actor: ActorFile, path: str | Path) -> None:
    """Load the file's parameters into the controller's network; UserError if it is another network."""
    try:
        mac.agent.load_state_dict(actor.weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"The actor in {path} ({actor.origin}) does not fit this network: {reason}") from None


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """The same with numbers, text, lists and dicts alone, so that it can be read without trust."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(value), default=_without_numpy))
    return plain


def _without_numpy(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
