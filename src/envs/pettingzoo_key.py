"""From `env_args.key` to a parallel PettingZoo environment, with a sentence for whoever mistypes it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

from utils.errors import nearest

OPTIONS = ("key", "kwargs", "continuous_actions", "episode_limit", "state", "team_reward", "seed")
"""What `env_args` may hold."""

KNOWN_PACKAGES = ("mpe2", "pettingzoo.butterfly", "pettingzoo.sisl")
"""Where people mostly find parallel environments: for hints alone."""


def make(key: str, kwargs: dict[str, Any], continuous_actions: bool) -> Any:
    """The environment of that name.

    `continuous_actions` is handed on to environments that have the argument, unless `kwargs` has it already. Raises
    ValueError where there is no such environment, or where it does not take the arguments.
    """
    maker, signature = find(key)
    arguments = _arguments(signature)
    if "continuous_actions" in (arguments or ()):
        kwargs = {"continuous_actions": continuous_actions, **kwargs}
    for name in kwargs:
        if arguments is not None and name not in arguments:
            known = ", ".join(arguments)
            raise ValueError(f'{key} has no argument "{name}".{nearest(name, arguments)} It has: {known}.')
    try:
        env = maker(**kwargs)
    except (TypeError, AssertionError, ValueError) as error:
        raise ValueError(f"{key} does not take these arguments ({kwargs}): {error}") from None
    if not hasattr(env, "possible_agents") or hasattr(env, "agent_iter"):
        raise ValueError(f"{key} is no parallel PettingZoo environment: its agents do not act at once.")
    return env


def find(key: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What makes the environment `package:module` (its `parallel_env`) or `module:attribute`, and whose arguments it
    takes: PettingZoo hides them behind `raw_env`.
    """
    package, colon, name = str(key).partition(":")
    if not (package and colon and name):
        raise ValueError(f'env_args.key="{key}" must be of the form package:module, as in mpe2:simple_spread_v3.')
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    outer = _import_package(package)
    if hasattr(outer, "__path__") and importlib.util.find_spec(f"{package}.{name}") is not None:
        module = importlib.import_module(f"{package}.{name}")
        if callable(getattr(module, "parallel_env", None)):
            return module.parallel_env, getattr(module, "raw_env", module.parallel_env)
    maker = getattr(outer, name, None)
    if callable(maker):
        return maker, maker
    names = _environments(outer)
    known = f" There are: {', '.join(names)}." if names else ""
    raise ValueError(f'{package} has no parallel environment "{name}".{nearest(name, names)}{known}')


def time_limit(env: Any, given: int | None, key: str) -> int:
    """Longest episode: the one given, else what the environment says by `max_cycles` or a like name."""
    if given is not None:
        if given < 1:
            raise ValueError(f"env_args.episode_limit={given} must be at least 1.")
        return int(given)
    for place in (env, getattr(env, "unwrapped", None), getattr(getattr(env, "aec_env", None), "unwrapped", None)):
        for name in ("max_cycles", "episode_limit", "max_steps", "max_episode_steps"):
            value = getattr(place, name, None)
            if isinstance(value, int) and value > 0:
                return value
    raise ValueError(f"{key} does not say how long an episode may be: give env_args.episode_limit=STEPS.")


def describe(env_args: Mapping[str, Any]) -> dict[str, str]:
    """Check env_args by making the environment once; the package that plays, and its version, for the records."""
    if importlib.util.find_spec("gymnasium") is None or importlib.util.find_spec("pettingzoo") is None:
        raise ValueError("PettingZoo is not installed: bash install_dependencies.sh --envs")
    from envs.pettingzoo_env import PettingZoo

    PettingZoo(**env_args).close()
    package = str(env_args["key"]).partition(":")[0].partition(".")[0]
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a module of one's own
        version = "unknown"
    return {"engine": package, "engine_version": version}


def _import_package(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise ValueError(f"{package} needs {error.name}, which is not installed.") from None
        hint = nearest(package, KNOWN_PACKAGES)
        how = " Install it: bash install_dependencies.sh --envs." if package == "mpe2" else hint
        raise ValueError(f'There is no Python package "{package}" on this machine.{how}') from None


def _environments(package: Any) -> list[str]:
    """Modules of a package that are named like environments: with a version behind the name."""
    names = [module.name for module in pkgutil.iter_modules(getattr(package, "__path__", []))]
    return sorted(name for name in names if name.rpartition("_v")[2].isdigit())


def _arguments(maker: Callable[..., Any]) -> list[str] | None:
    """Names of the arguments; None where it takes any."""
    parameters = inspect.signature(maker).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]
