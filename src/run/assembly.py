"""Builds what a run consists of (runner, buffer, controller, learner) from `args`, by name through the registries."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from utils.errors import UserError, nearest
from utils.logging import Logger

PLUGIN_GROUP = "amal.plugins"  # entry points of installed packages, imported like the key `plugins`

# configuration key -> module whose REGISTRY holds its legal values
REGISTRIES = {
    "env": "envs",
    "mac": "controllers",
    "learner": "learners",
    "agent": "modules.agents",
    "buffer": "components",
    "action_selector": "components.action_selectors",
}

# a buffer's constructor argument <- the configuration key it is filled from, where both exist
_BUFFER_OPTIONS = {
    "n_auxiliary": "num_auxiliary_agents",
    "auxiliary_size": "auxiliary_buffer_size",
    "auxiliary_row_steps": "imagination_horizon",
    "memory_map_above": "memory_map_above",
    "per_alpha": "per_alpha",
    "per_beta": "per_beta",
    "per_beta_episodes": "per_beta_episodes",
    "seed": "seed",
}


@dataclass
class Parts:
    """Everything that a training loop turns. `buffer` is None where nothing would read it."""

    runner: Any
    mac: Any
    learner: Any
    buffer: Any
    logger: Logger


def import_plugins(modules: Iterable[str]) -> None:
    """Import modules that add to the registries: those named, and those that installed packages announce."""
    for entry in importlib.metadata.entry_points(group=PLUGIN_GROUP):
        entry.load()
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            raise UserError(f'The plug-in module "{name}" is not on PYTHONPATH.') from None


def registry(key: str) -> Mapping[str, Any]:
    """Return the REGISTRY that holds the legal values of a configuration key."""
    found: Mapping[str, Any] = importlib.import_module(REGISTRIES[key]).REGISTRY
    return found


def check(config: dict[str, Any]) -> dict[str, Any]:
    """Check names that only the registries and the environment know; return `config` with `engine_info` filled in."""
    import_plugins(config["plugins"])
    for key in REGISTRIES:
        if key not in config:
            continue
        known = registry(key)
        if config[key] not in known:
            names = ", ".join(sorted(known))
            raise UserError(f'{key}="{config[key]}" does not exist.{nearest(config[key], known)} Known: {names}.')
    from runners import REGISTRY as runners

    if config["runner"] != "auto" and config["runner"] not in runners:
        known_runners = ["auto", *sorted(runners)]
        hint = nearest(config["runner"], known_runners)
        raise UserError(f'runner="{config["runner"]}" does not exist.{hint} Known: {", ".join(known_runners)}.')
    return {**config, "engine_info": describe(config["env"], config["env_args"])}


def describe(env: str, env_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return what engine plays, in which version, on which map; {} for environments without such a choice."""
    import envs

    try:
        return dict(envs.describe(env, dict(env_args)))
    except ValueError as error:  # an unknown map, an engine that is not there: the library says it in one sentence
        raise UserError(str(error)) from None


def resolve_device(device: str, use_cuda: bool) -> str:
    """Turn the keys `device` and `use_cuda` into a torch device; "auto" is the GPU if there is one."""
    if device == "auto":
        return "cuda" if use_cuda and torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise UserError(f'device="{device}" is not a device; use auto, cpu, cuda or cuda:0.') from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f'device="{device}", but torch finds no GPU; use device=auto or device=cpu.')
    return device


def build(args: SimpleNamespace, logger: Logger, directory: Path) -> Parts:
    """Build the parts for `args`; `directory` is where a buffer may keep files of its own.

    Adds to `args` what PyMARL's components expect there: n_agents, n_actions, state_shape, obs_shape, episode_limit.
    """
    import runners
    from components.episode_buffer import EpisodeBatch
    from components.transforms import OneHot

    runner = runners.REGISTRY[runners.resolve(args)](args=args, logger=logger)
    try:
        info = runner.get_env_info()
        args.env_info = dict(info)
        for key in ("n_agents", "n_actions", "state_shape", "obs_shape", "episode_limit"):
            setattr(args, key, info[key])
        scheme, groups = build_scheme(info, bool(getattr(args, "need_probs", False)))
        preprocess = {"actions": ("actions_onehot", [OneHot(out_dim=args.n_actions)])}
        # controllers and learners see the fields that preprocessing adds, too
        full = EpisodeBatch(scheme, groups, 1, 1, preprocess=preprocess).scheme
        mac = registry("mac")[args.mac](full, groups, args)
        runner.setup(scheme=scheme, groups=groups, preprocess=preprocess, mac=mac)
        learner = registry("learner")[args.learner](mac, full, logger, args)
        if str(args.device).startswith("cuda"):
            learner.cuda()
        buffer = None
        if hasattr(learner, "attach_buffer") or not is_on_policy(learner, args):
            buffer = _build_buffer(args, scheme, groups, preprocess, directory)
        if hasattr(learner, "attach_buffer"):
            learner.attach_buffer(buffer)
    except BaseException:
        runner.close_env()
        raise
    return Parts(runner, mac, learner, buffer, logger)


def build_scheme(info: Mapping[str, Any], need_probs: bool) -> tuple[dict[str, Any], dict[str, int]]:
    """Return PyMARL's scheme and groups for an environment of these sizes."""
    scheme: dict[str, Any] = {
        "state": {"vshape": info["state_shape"]},
        "obs": {"vshape": info["obs_shape"], "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
        "avail_actions": {"vshape": (info["n_actions"],), "group": "agents", "dtype": torch.int},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.uint8},
    }
    if need_probs:
        scheme["probs"] = {"vshape": (info["n_actions"],), "group": "agents", "dtype": torch.float}
    return scheme, {"agents": info["n_agents"]}


def _build_buffer(
    args: SimpleNamespace, scheme: dict[str, Any], groups: dict[str, int], preprocess: dict[str, Any], directory: Path
) -> Any:
    buffer_class = registry("buffer")[args.buffer]
    accepted = inspect.signature(buffer_class).parameters
    options = {
        option: getattr(args, key)
        for option, key in _BUFFER_OPTIONS.items()
        if option in accepted and hasattr(args, key)
    }
    if "directory" in accepted:
        options["directory"] = directory
    return buffer_class(
        scheme,
        groups,
        args.buffer_size,
        args.episode_limit + 1,
        preprocess=preprocess,
        device="cpu" if args.buffer_cpu_only else args.device,
        **options,
    )


def is_on_policy(learner: Any, args: SimpleNamespace) -> bool:
    """Tell whether the learner trains on exactly the batch just collected: its own word, else the key `on_policy`."""
    return bool(getattr(learner, "on_policy", getattr(args, "on_policy", False)))
