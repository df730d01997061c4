"""Builds what a run consists of (runner, buffer, controller, learner) from `args`, by name through the registries."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from configuration import load_overlay, overlay_names
from key_ranges import AT_MOST, NEEDS
from run import actor_file
from utils.errors import UserError, nearest
from utils.logging import Logger
from utils.plugins import import_plugins

# configuration key -> module whose REGISTRY holds its legal values
REGISTRIES = {
    "env": "envs",
    "mac": "controllers",
    "learner": "learners",
    "agent": "modules.agents",
    "critic_type": "modules.critics",
    "buffer": "components",
    "action_selector": "components.action_selectors",
    "continuous_selector": "components.continuous_selectors",
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


@dataclass(frozen=True)
class Fields:
    """What a batch of episodes is made of. `full`: the scheme with the fields that `preprocess` adds."""

    scheme: dict[str, Any]
    groups: dict[str, int]
    preprocess: dict[str, Any]
    full: dict[str, Any]


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
    check_together(config)
    return {**config, "engine_info": describe(config["env"], config["env_args"])}


def check_together(config: Mapping[str, Any]) -> None:
    """Raise a `UserError` for values that are legal, but not beside each other."""
    for (key, value), needed in NEEDS.items():
        if config.get(key) == value and needed not in config:
            having = [name for name in overlay_names("algs") if needed in load_overlay("algs", name)]
            raise UserError(
                f'{key}={config[key]} needs the key "{needed}", which "{config["name"]}" does not have. '
                f"Leave {key} as it was, or use one of: {', '.join(having)}."
            )
    if config.get("num_auxiliary_agents") == 0 and config.get("mi_policies", "noise") != "noise":
        raise UserError(f"num_auxiliary_agents=0 needs mi_policies=noise, not {config['mi_policies']}.")
    if config["evaluate"]:
        return
    imagining = ("aux_ratio", "num_auxiliary_agents", "imagination_updates")
    if config.get("world_model_data") == "mixed" and (missing := [key for key in imagining if not config[key]]):
        raise UserError(
            f"world_model_data=mixed learns from what auxiliaries imagine, but {missing[0]}=0. Raise {missing[0]}."
        )
    if config.get("n_step") and config.get("q_lambda"):
        raise UserError(
            f"n_step={config['n_step']} and q_lambda=True are two kinds of returns. Use n_step=0, or q_lambda=False."
        )
    args = SimpleNamespace(**config)
    limits = dict(AT_MOST)
    if not is_on_policy(registry("learner")[args.learner], args):
        if args.accumulate_gradients > 1:
            raise UserError(
                f"accumulate_gradients={args.accumulate_gradients} has no effect on {args.learner}, which learns from "
                "replay. Use accumulate_gradients=1, and a lower batch_size if memory is short."
            )
        if getattr(registry("buffer")[args.buffer], "whole_episodes", True):
            limits["batch_size"] = "buffer_size"
    for key, bound in limits.items():
        if key in config and bound in config and config[key] > config[bound]:
            raise UserError(f"{key}={config[key]} is more than {bound}={config[bound]}. Lower {key} or raise {bound}.")


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
    """Build the parts for `args`; `directory` is where a buffer may keep files of its own."""
    import runners

    runner = runners.REGISTRY[runners.resolve(args)](args=args, logger=logger)
    try:
        fields = fields_of(args, runner.get_env_info())
        _require_action_kind(registry("learner")[args.learner], args)
        mac = build_controller(args, fields)
        if getattr(args, "load_actor", ""):
            actor = actor_file.load_into(mac, args)
            runner.t_env = actor.t_env if args.evaluate else 0
            logger.console_logger.info(f"Actor loaded from {args.load_actor}: {actor.origin}")
        runner.setup(scheme=fields.scheme, groups=fields.groups, preprocess=fields.preprocess, mac=mac)
        learner = registry("learner")[args.learner](mac, fields.full, logger, args)
        if str(args.device).startswith("cuda"):
            learner.cuda()
        buffer = None
        if hasattr(learner, "attach_buffer") or not is_on_policy(learner, args):
            _require_memoryless(mac, args)
            buffer = _build_buffer(args, fields, directory)
        if hasattr(learner, "attach_buffer"):
            learner.attach_buffer(buffer)
    except BaseException:
        runner.close_env()
        raise
    return Parts(runner, mac, learner, buffer, logger)


def fields_of(args: SimpleNamespace, info: Mapping[str, Any]) -> Fields:
    """Return the fields of a batch in an environment of these sizes.

    Adds to `args` what PyMARL's components expect there: n_agents, n_actions, state_shape, obs_shape, episode_limit.
    """
    from components.episode_buffer import EpisodeBatch
    from components.transforms import OneHot

    args.env_info = dict(info)
    for key in ("n_agents", "n_actions", "state_shape", "obs_shape", "episode_limit"):
        setattr(args, key, info[key])
    args.continuous_actions = bool(info.get("continuous_actions", False))
    scheme, groups = build_scheme(info, bool(getattr(args, "need_probs", False)))
    preprocess: dict[str, Any] = {"actions": ("actions_onehot", [OneHot(out_dim=args.n_actions)])}
    if args.continuous_actions:
        preprocess = {}
    full = EpisodeBatch(scheme, groups, 1, 1, preprocess=preprocess).scheme
    return Fields(scheme, groups, preprocess, full)


def build_controller(args: SimpleNamespace, fields: Fields) -> Any:
    """Return the controller that `args.mac` names."""
    return registry("mac")[args.mac](fields.full, fields.groups, args)


def build_scheme(info: Mapping[str, Any], need_probs: bool) -> tuple[dict[str, Any], dict[str, int]]:
    """Return PyMARL's scheme and groups for an environment of these sizes.

    Continuous actions are `n_actions` numbers in [-1, 1]; `avail_actions` then says which of them an agent has.
    """
    continuous = bool(info.get("continuous_actions", False))
    actions = {"vshape": (info["n_actions"],)} if continuous else {"vshape": (1,), "dtype": torch.long}
    scheme: dict[str, Any] = {
        "state": {"vshape": info["state_shape"]},
        "obs": {"vshape": info["obs_shape"], "group": "agents"},
        "actions": {"group": "agents", **actions},
        "avail_actions": {"vshape": (info["n_actions"],), "group": "agents", "dtype": torch.int},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.uint8},
    }
    if need_probs:
        scheme["probs"] = {"vshape": (info["n_actions"],), "group": "agents", "dtype": torch.float}
    return scheme, {"agents": info["n_agents"]}


def _require_action_kind(learner: Any, args: SimpleNamespace) -> None:
    """Raise a `UserError` where actions are continuous and the learner does not say that it can learn such."""
    if args.continuous_actions and not getattr(learner, "continuous_actions", False):
        raise UserError(
            f'learner="{args.learner}" needs discrete actions, and those of this environment are continuous. Use '
            "--config=maddpg or --config=masac, or discrete actions (pettingzoo: env_args.continuous_actions=False)."
        )


def _require_memoryless(mac: Any, args: SimpleNamespace) -> None:
    """Raise a `UserError` where agents look back, but the buffer gives single steps without those before."""
    from modules.agents import memoryless

    if getattr(registry("buffer")[args.buffer], "whole_episodes", True):
        return
    if not memoryless(mac.agent):
        raise UserError(f'buffer="{args.buffer}" is for agents without memory: use agent=ff, or buffer=replay.')
    for key, off in (("obs_last_action", False), ("frame_stack", 1)):
        if getattr(args, key, off) != off:
            raise UserError(f'buffer="{args.buffer}" gives single steps, without those before: use {key}={off}.')


def _build_buffer(args: SimpleNamespace, fields: Fields, directory: Path) -> Any:
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
        fields.scheme,
        fields.groups,
        args.buffer_size,
        args.episode_limit + 1,
        preprocess=fields.preprocess,
        device="cpu" if args.buffer_cpu_only else args.device,
        **options,
    )


def is_on_policy(learner: Any, args: SimpleNamespace) -> bool:
    """Tell whether the learner trains on exactly the batch just collected: its own word, else the key `on_policy`."""
    return bool(getattr(learner, "on_policy", getattr(args, "on_policy", False)))
