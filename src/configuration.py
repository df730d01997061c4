"""From the command line to one validated configuration: default <- environment <- algorithm <- `with key=value`.

The YAML files are the schema: a key is legal if one of them names it, and its type is the type of the first value it
was given. `key_ranges` adds what a type cannot say. Every mistake is a `UserError`: one sentence that names
the key or file, what is wrong, and the nearest valid name.
"""

from __future__ import annotations

import ast
import copy
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from key_ranges import CHOICES, INFINITY, RANGES, SHARE_OR_COUNT, WHOLE
from utils.errors import UserError, nearest

ROOT = Path(__file__).resolve().parent.parent
CONFIG_DIR = ROOT / "src" / "config"
FILE_ENDINGS = (".yaml", ".yml")

# Keys whose default happens to be a whole number but which take any number.
_REAL = re.compile(r"(^|[._])(reward_\w+|\w+_(coef|clip|scale|delta|weight|std|beta)|move_amount|beta|temperature)$")


# --- the command line ------------------------------------------------------------------------------------------------


@dataclass
class CommandLine:
    """PyMARL's two options taken out of the arguments; `rest` is sacred's."""

    algorithm: str | None = None
    environment: str | None = None
    help: bool = False
    rest: list[str] = field(default_factory=list)


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Take `--config` and `--env-config`, each as `=x` or ` x`, and `-h`/`--help` out of the arguments."""
    line = CommandLine()
    found: dict[str, str] = {}
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        option, equals, value = argument.partition("=")
        if option in ("--config", "--env-config"):
            if not equals:
                value = pending.pop(0) if pending and not pending[0].startswith("-") else ""
            if value in ("", "with"):
                raise UserError(f"{option} needs a name, as in {option}={'mappo' if option == '--config' else 'sc2'}.")
            if option in found:
                raise UserError(f"{option} was given twice: {found[option]} and {value}.")
            found[option] = value
        elif argument in ("-h", "--help"):
            line.help = True
        else:
            line.rest.append(argument)
    line.algorithm, line.environment = found.get("--config"), found.get("--env-config")
    return line


# --- files -----------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML in which `5e-4` is a number, as people mean it, and a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.MarkedYAMLError(problem=f'"{min(map(str, twice))}" is given twice', problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def overlay_names(folder: str) -> list[str]:
    """Return the names of the overlays in config/algs, config/envs or config/maps, nested ones as `folder/name`."""
    base = CONFIG_DIR / folder
    return sorted(str(path.relative_to(base).with_suffix("")) for path in base.rglob("*.yaml"))


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping."""
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{shown}{line} is not valid YAML: {error.problem}.") from None
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{shown} cannot be read: {error}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{shown} must hold `key: value` lines, not a {type(content).__name__}.")
    return content


def overlay_path(folder: str, name: str, beside: Path = Path()) -> Path:
    """Return the file that a name stands for: an overlay of config/<folder>/, or any YAML file by its path.

    `folder` is "algs" or "envs"; a path is taken from the folder `beside`.
    """
    is_path, path = name.endswith(FILE_ENDINGS), beside / name
    if is_path and path.is_file():
        return path.resolve()
    known = overlay_names(folder)
    stem = name.removesuffix(".yaml")
    if stem in known:
        return CONFIG_DIR / folder / f"{stem}.yaml"
    what = "algorithm" if folder == "algs" else "environment"
    if is_path:
        files = [str(file) for ending in FILE_ENDINGS for file in path.parent.glob(f"*{ending}")]
        raise UserError(f'There is no {what} file "{path}".{nearest(path, files) or nearest(stem, known)}')
    raise UserError(
        f'There is no {what} "{name}" in src/config/{folder}/.{nearest(stem, known)} Known: {", ".join(known)}.'
    )


def overlay_name(folder: str, name: str) -> str:
    """Return what names an overlay from any working directory: its name, or the whole path of a file of one's own."""
    path = overlay_path(folder, name)
    base = CONFIG_DIR / folder
    return str(path.relative_to(base).with_suffix("")) if path.is_relative_to(base) else str(path)


def load_overlay(folder: str, name: str) -> dict[str, Any]:
    """Read the overlay that `overlay_path` finds, laid over what it extends; `folder` is "algs" or "envs"."""
    merged: dict[str, Any] = {}
    for layer in _layers(folder, name):
        merged = _merged(merged, layer)
    return merged


def _layers(folder: str, name: str, lower: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """Read an overlay and the files under it, which `extends: other` names, the lowest first.

    `lower`: the files that led here. Of a file of one's own, `name` is the file's unless it says another, and modules
    beside it can be imported from now on.
    """
    path = overlay_path(folder, name, lower[-1].parent if lower else Path())
    if path in lower:
        circle = " extends ".join(file.stem for file in (*lower, path))
        raise UserError(f"{lower[0].parent}: {circle}: nothing is at the bottom.")
    content = load_yaml(path)
    if not path.is_relative_to(CONFIG_DIR):
        if folder == "algs":
            content.setdefault("name", path.stem)
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
    below = _layers(folder, str(content.pop("extends")), (*lower, path)) if "extends" in content else []
    return [*below, content]


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above`, mappings merged; types may change."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            value = _merged(old, value)
        elif key == "plugins" and isinstance(value, list):
            value = _added(old, value)
        result[key] = value
    return result


def _added(old: Any, modules: list[Any]) -> list[Any]:
    """The key `plugins`: modules add up, so that environment, algorithm and command line may each bring theirs."""
    before = old if isinstance(old, list) else []
    return [*before, *(module for module in modules if module not in before)]


def compose(algorithm: str | None, environment: str | None = None) -> dict[str, Any]:
    """Lay the environment's file and then the algorithm's over the defaults.

    Without an environment the one that the defaults name is taken. Either may be the path of a YAML file.
    """
    if algorithm is None:
        names = ", ".join(overlay_names("algs"))
        raise UserError(f"Which algorithm? Add --config=NAME, one of: {names} (`--help` shows examples).")
    config = load_yaml(CONFIG_DIR / "default.yaml")
    for folder, name in (("envs", environment or str(config["env"])), ("algs", algorithm)):
        source = name if name.endswith(FILE_ENDINGS) else f"src/config/{folder}/{name}.yaml"
        config = overlay(config, load_overlay(folder, name), source)
    return config


def with_map_values(config: Mapping[str, Any], updates: Mapping[str, Any], algorithm: str) -> dict[str, Any]:
    """Lay what config/maps/<per_map>.yaml says of the run's map over `config`; nothing if the key `per_map` is empty.

    They lie over the file that sets `per_map`, and what the files say that extend it is above them; where the command
    line sets it, they lie over all files.

    updates: the command line's values, of which `per_map` and `env_args.map_name` count here.
    algorithm: the overlay that `config` was composed with.
    """
    chosen = str(updates.get("per_map", config.get("per_map", "")))
    if not chosen:
        return dict(config)
    known = overlay_names("maps")
    if chosen not in known:
        raise UserError(f'per_map="{chosen}" is not one of {", ".join(known)}; "" is for none.{nearest(chosen, known)}')
    env_args = {**config["env_args"], **updates.get("env_args", {})}
    source = f"src/config/maps/{chosen}.yaml"
    of_map = load_yaml(CONFIG_DIR / "maps" / f"{chosen}.yaml").get(str(env_args.get("map_name")), {})
    unknown = sorted(set(of_map) - set(config))
    if unknown:
        raise UserError(f'{source}: "{unknown[0]}" is not a key of this algorithm; switch it off with per_map="".')
    result = overlay(config, of_map, source)
    layers = [] if "per_map" in updates else _layers("algs", algorithm)
    lowest = max((i for i, layer in enumerate(layers, 1) if "per_map" in layer), default=0)
    for layer in layers[lowest:]:
        result = overlay(result, layer, algorithm)
    return result


def overlay(base: Mapping[str, Any], upper: Mapping[str, Any], source: str, prefix: str = "") -> dict[str, Any]:
    """Return `base` with `upper` laid over it, mappings merged; values must keep the type `base` gives them, if any."""
    merged = copy.deepcopy(dict(base))
    for key, value in upper.items():
        path = f"{prefix}{key}"
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            merged[key] = overlay(old, value, source, f"{path}.")
        else:
            merged[key] = _checked(path, copy.deepcopy(value), merged.get(key, value), f"{source}: ")
    return merged


# --- `with key=value` ------------------------------------------------------------------------------------------------


def dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, nested ones as `a.b`, mappings themselves included."""
    for key, value in config.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")


def parse_updates(config: Mapping[str, Any], updates: Sequence[str]) -> dict[str, Any]:
    """Turn `["t_max=100", "env_args.map_name=8m"]` into a nested dict of values with the types of `config`.

    An item without "=" names a YAML or JSON file of keys (sacred's named configuration).
    """
    result: dict[str, Any] = {}
    known = dict(dotted(config))

    def take(path: str, value: Any, where: str = "") -> None:
        default = _default(known, path)
        if isinstance(value, Mapping) and isinstance(default, Mapping) and default:
            for key, inner in value.items():
                take(f"{path}.{key}", inner, where)
        else:
            _set(result, path, _checked(path, value, default, where))

    for update in updates:
        path, equals, text = (part.strip() for part in update.partition("="))
        if equals and not (path and text):
            raise UserError(f'"{update}" is not of the form key=value.')
        if equals:
            take(path, _value_of(text, _default(known, path)))
        elif Path(path).is_file():
            for key, value in load_yaml(Path(path)).items():
                take(str(key), value, f"{path}: ")
        else:
            raise UserError(f'After "with" come key=value pairs or a YAML file; "{path}" is neither.')
    return result


def _default(known: Mapping[str, Any], path: str) -> Any:
    """Return the present value of a key; unknown keys are an error with the nearest known one."""
    if path in known:
        return known[path]
    parent = path.rpartition(".")[0]
    if parent and known.get(parent) == {}:  # an empty mapping is free-form
        return None
    same_leaf = [key for key in known if key.rpartition(".")[2] == path.rpartition(".")[2]]
    hint = f' Did you mean "{same_leaf[0]}"?' if same_leaf else nearest(path, known)
    raise UserError(f'Unknown key "{path}".{hint}')


def _set(target: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for parent in parents:
        target = target.setdefault(parent, {})
    target[leaf] = value


def _value_of(text: str, default: Any) -> Any:
    """Read the text of a `key=text` argument as the kind of value that `default` is."""
    if isinstance(default, str):
        quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
        return text[1:-1] if quoted else text
    if isinstance(default, list) and not text.startswith(("[", "(")):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        try:
            return yaml.load(text, _Loader)
        except yaml.YAMLError:
            return text


# --- types and ranges ------------------------------------------------------------------------------------------------


def _checked(path: str, value: Any, default: Any, where: str = "") -> Any:
    """Return `value` in the type of `default`, within the key's range; else a `UserError`."""
    value = _typed(path, value, default, where)
    if path == "plugins" and isinstance(value, list):
        return _added(default, value)
    choices = CHOICES.get(path)
    if choices and value not in choices:
        raise UserError(f"{where}{path}={value!r} is not one of {', '.join(choices)}.{nearest(value, choices)}")
    numbers = [number for number in (value if isinstance(value, list) else [value]) if isinstance(number, int | float)]
    low, high = RANGES.get(path, (-INFINITY, INFINITY))
    if not all(low <= number <= high for number in numbers):
        bounds = f"at least {low:g}" if high == INFINITY else f"between {low:g} and {high:g}"
        subject = "each number" if isinstance(value, list) else "it"
        raise UserError(f"{where}{path}={value} is out of range; {subject} must be {bounds}.")
    if path in SHARE_OR_COUNT and value > 1 and value != int(value):
        raise UserError(f"{where}{path}={value} is neither a share, up to 1, nor a whole number.")
    return value


def _typed(path: str, value: Any, default: Any, where: str) -> Any:
    def wrong(expected: str) -> UserError:
        return UserError(f"{where}{path}={value!r} is not {expected}.")

    if default is None and value is not None and path in RANGES:
        default = 0 if path in WHOLE else 0.0
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise wrong("True or False")
    elif isinstance(default, int | float):
        number = _number(value)
        if number is None:
            raise wrong("a number")
        if isinstance(default, float) or _REAL.search(path):
            return float(number) if isinstance(default, float) else number
        if number != int(number):
            raise wrong("a whole number")
        return int(number)
    elif isinstance(default, str):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise wrong("text")
    elif isinstance(default, list):
        if not isinstance(value, list | tuple):
            raise wrong("a list, as in [64, 64]")
        first = next(iter(default), 0)
        return [_typed(f"{path}[{i}]", x, first, where) if path in RANGES else x for i, x in enumerate(value)]
    elif isinstance(default, dict) and not isinstance(value, Mapping):
        raise wrong("a mapping of keys to values")
    return value


def _number(value: Any) -> int | float | None:
    """Return a finite number, also one written as text such as "5e-4"; None where it is none."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value
