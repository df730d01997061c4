"""What an experiment is asked to be: from a YAML file, from the command line, the latter over the former."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configuration import CONFIG_DIR, dotted, load_yaml
from utils.errors import UserError, nearest

FOLDER = CONFIG_DIR / "experiments"
DEFAULT_COMPARISON_SEEDS = 5
MAX_SEED = 2**31 - 1
_COUNT = re.compile(r"^(?P<number>\d[\d_]*\.?\d*(?:[eE]\+?\d+)?)(?P<unit>[kKmM]?)$")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+=-]*$")


@dataclass
class Setting:
    """One experiment. `overrides` and `sweep` hold texts as they would stand on the command line."""

    name: str = ""
    algos: list[str] = field(default_factory=list)
    scenarios: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    env: str = ""
    t_max: int = 0  # environment steps; 0: as the algorithm's file says
    episodes: int = 0
    overrides: dict[str, str] = field(default_factory=dict)
    sweep: dict[str, str] = field(default_factory=dict)
    random: int = 0  # draws of a random search; 0: the grid
    random_seed: int = 0

    def to_yaml(self) -> str:
        """Return this setting as a file that `--setting` reads; texts are quoted, so that they stay the same texts."""
        lines = ["# What was asked for. python3 src/run_experiment.py --setting=THIS_FILE runs or continues it."]
        for key, value in vars(self).items():
            if isinstance(value, dict) and value:
                lines += [f"{key}:", *(f"  {inner}: {json.dumps(text)}" for inner, text in value.items())]
            elif value:
                lines.append(f"{key}: {json.dumps(value)}")
        return "\n".join(lines) + "\n"


KEYS = tuple(Setting.__dataclass_fields__)


def count(value: object, what: str) -> int:
    """Read a positive whole number: 100000, 100_000, 1e5, 100k, 2M."""
    match = _COUNT.match(str(value).strip())
    number = math.nan
    if match and not isinstance(value, bool):
        scale = {"": 1, "k": 1000, "m": 1_000_000}[match["unit"].lower()]
        number = float(match["number"].replace("_", "")) * scale
    if not (math.isfinite(number) and number >= 1 and number == int(number)):
        raise UserError(f"{what}={value} is not a positive whole number such as 5000, 100k or 2M.")
    return int(number)


def seed_list(value: object, what: str = "--seeds") -> list[int]:
    """Read seeds: 5 (which is 0 to 4), "0,3,7", "10-14", or a list of numbers."""
    if isinstance(value, list):
        return _checked_seeds([_seed(item, what) for item in value], what)
    text = str(value).strip()
    span = re.fullmatch(r"(\d+)-(\d+)", text)
    if span:
        return _checked_seeds(list(range(int(span[1]), int(span[2]) + 1)), what)
    if "," in text:
        return _checked_seeds([_seed(part, what) for part in text.split(",") if part.strip()], what)
    return list(range(_how_many(value, what)))


def one_seed(value: object) -> list[int]:
    """Read `--seed`: the seed itself, or several with commas."""
    return _checked_seeds([_seed(part, "--seed") for part in str(value).split(",") if part.strip()], "--seed")


def _how_many(value: object, what: str) -> int:
    text = str(value).strip()
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{what}={value} is neither a number of seeds (at least 1) nor a list such as 0,1,2 or 0-4.")
    return int(text)


def _seed(value: object, what: str) -> int:
    text = str(value).strip()
    if not text.isdigit() or int(text) > MAX_SEED:
        raise UserError(f"{what}: {value!r} is not a seed; seeds are whole numbers from 0 to {MAX_SEED}.")
    return int(text)


def _checked_seeds(seeds: list[int], what: str) -> list[int]:
    if not seeds:
        raise UserError(f"{what} names no seed.")
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise UserError(f"{what} names seed {twice[0]} twice; two such runs would be the same run.")
    return seeds


def name_list(value: object, what: str) -> list[str]:
    """Read names: "a,b" or a list; none and doubles are an error."""
    parts = value if isinstance(value, list) else str(value).split(",")
    names = [str(part).strip() for part in parts if str(part).strip()]
    if not names:
        raise UserError(f"{what} names nothing.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f'{what} names "{twice[0]}" twice.')
    return names


def check_name(name: str) -> str:
    """Return an experiment's name if it can be the name of a folder."""
    if not _NAME.match(name) or len(name) > 120:
        raise UserError(
            f'The name "{name}" cannot be a folder\'s; take up to 120 letters, digits and . _ - + =, a letter first.'
        )
    return name


def find_file(text: str) -> Path:
    """Return the setting file: a path, or the name of one in src/config/experiments."""
    path = Path(text)
    if path.is_file():
        return path
    known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    if text.removesuffix(".yaml") in known:
        return FOLDER / f"{text.removesuffix('.yaml')}.yaml"
    raise UserError(
        f'--setting="{text}" is neither a file nor one of src/config/experiments: {", ".join(known)}.'
        f"{nearest(text, known)}"
    )


def read(path: Path) -> Setting:
    """Read a setting file."""
    content = load_yaml(path)
    unknown = [str(key) for key in content if key not in KEYS]
    if unknown:
        raise UserError(f'{path}: there is no key "{unknown[0]}".{nearest(unknown[0], KEYS)} Known: {", ".join(KEYS)}.')
    setting = Setting()
    readers: dict[str, Callable[[Any], Any]] = {
        "name": lambda value: check_name(str(value)),
        "algos": lambda value: name_list(value, "algos"),
        "scenarios": lambda value: name_list(value, "scenarios"),
        "seeds": lambda value: seed_list(value, "seeds"),
        "env": str,
        "t_max": lambda value: count(value, "t_max"),
        "episodes": lambda value: count(value, "episodes"),
        "overrides": lambda value: _texts(value, "overrides"),
        "sweep": lambda value: {key: _values(item) for key, item in _mapping(value, "sweep").items()},
        "random": lambda value: count(value, "random") if value else 0,
        "random_seed": lambda value: _seed(value, "random_seed"),
    }
    for key, value in content.items():
        try:
            setattr(setting, key, readers[key](value))
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
    return setting


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{what} must hold `key: value` lines.")
    return value


def _texts(value: object, what: str) -> dict[str, str]:
    """Return a nested mapping as {dotted key: text}."""
    items = dotted(_mapping(value, what))
    return {key: as_text(item) for key, item in items if not isinstance(item, Mapping)}


def _values(value: object) -> str:
    return ",".join(as_text(item) for item in value) if isinstance(value, list) else as_text(value)


def as_text(value: object) -> str:
    """Return a value as it would be typed after `key=`."""
    return value if isinstance(value, str) and value.strip() == value and value else repr(value)


def split_overrides(words: Sequence[str]) -> dict[str, str]:
    """Read what follows `--`: key=value words."""
    result: dict[str, str] = {}
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        if word == "with":
            continue
        if word.startswith("--"):
            raise UserError(f'{word} stands after "--", where settings for every run are; options come before it.')
        if not (key and equals and text):
            raise UserError(f'"{word}" is not of the form key=value; after "--" come settings for every run.')
        if key in result:
            raise UserError(f'After "--", {key} is given twice: {result[key]} and {text}.')
        result[key] = text
    return result
