"""Values to try: `key=a,b,c` is a list, `key=low..high` and `key=log:low..high` are ranges for random search."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configuration import dotted, parse_updates
from utils.errors import UserError

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"^(?P<log>log:)?\s*(?P<low>{_NUMBER})\s*\.\.\s*(?P<high>{_NUMBER})$")
DIGITS = 4  # significant digits of a drawn number: enough to search with, short enough to read
DRAWS_PER_POINT = 100  # before random search gives up finding a combination it has not drawn yet


@dataclass(frozen=True)
class Axis:
    """One key and what it may be: `choices` (texts, as on the command line), or a range if there are none."""

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def is_range(self) -> bool:
        """Tell whether values are drawn from a range."""
        return not self.choices

    def draw(self, generator: random.Random, whole: bool) -> str:
        """Draw one value, as text."""
        if self.choices:
            return generator.choice(self.choices)
        if self.log:
            number = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            number = generator.uniform(self.low, self.high + whole)  # a whole number is cut off, so that all are alike
        if whole:
            return str(min(int(self.high), math.floor(number)))
        return repr(min(self.high, max(self.low, float(f"{number:.{DIGITS}g}"))))


def parse_axis(text: str) -> Axis:
    """Read one `--sweep`."""
    key, equals, values = (part.strip() for part in text.partition("="))
    if not (key and equals):
        raise UserError(f'--sweep "{text}" is not of the form key=value,value or key=low..high.')
    match = _RANGE.match(values)
    if match is None:
        choices = split_values(values)
        if not choices:
            raise UserError(f'--sweep "{text}" names no values.')
        if len(set(choices)) < len(choices):
            raise UserError(f'--sweep "{text}" names a value twice.')
        return Axis(key, tuple(choices))
    low, high, log = float(match["low"]), float(match["high"]), bool(match["log"])
    if not low < high:
        raise UserError(f'--sweep "{text}": the range must go upwards.')
    if log and low <= 0:
        raise UserError(f'--sweep "{text}": a logarithmic range must begin above 0.')
    return Axis(key, (), low, high, log)


def split_values(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes: `[64,64],[128]` is two values."""
    values, depth, quote, start = [], 0, "", 0
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[({":
            depth += 1
        elif letter in "])}":
            depth -= 1
        elif letter == "," and depth == 0:
            values.append(text[start:position])
            start = position + 1
    values.append(text[start:])
    return [value.strip() for value in values if value.strip()]


def points(axes: Sequence[Axis], n_random: int, seed: int, config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the combinations to try, each as {key: text}; [{}] without axes.

    With `n_random` = 0 all of the grid, in the order of the axes; else so many random draws, the same for the same
    `seed`, and the first of them the same for any number. `config` tells which keys hold whole numbers.
    """
    twice = {axis.key for axis in axes if [other.key for other in axes].count(axis.key) > 1}
    if twice:
        raise UserError(f'"{min(twice)}" is swept twice.')
    if not n_random:
        ranges = [axis.key for axis in axes if axis.is_range]
        if ranges:
            raise UserError(f'"{ranges[0]}" is swept over a range; add --random N, or name its values.')
        return [dict(zip([axis.key for axis in axes], values)) for values in itertools.product(*map(_choices, axes))]
    if not axes:
        raise UserError("--random needs something to draw: add --sweep key=low..high.")
    known = dict(dotted(config))
    return _draw(axes, n_random, random.Random(seed), {key for key, value in known.items() if _is_whole(value)})


def _choices(axis: Axis) -> tuple[str, ...]:
    return axis.choices


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _draw(axes: Sequence[Axis], n: int, generator: random.Random, whole: set[str]) -> list[dict[str, str]]:
    drawn: list[dict[str, str]] = []
    for _ in range(n * DRAWS_PER_POINT):
        point = {axis.key: axis.draw(generator, axis.key in whole) for axis in axes}
        if point not in drawn:
            drawn.append(point)
        if len(drawn) == n:
            return drawn
    raise UserError(f"--random {n}, but only {len(drawn)} different combinations were found; ask for fewer.")


def typed(point: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a combination with the types that `config` gives its keys; unknown keys and wrong values are an error."""
    updates = parse_updates(config, [f"{key}={text}" for key, text in point.items()])
    return pick(updates, point)


def pick(nested: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return {dotted key: value} for these keys of a nested mapping."""
    values = dict(dotted(nested))
    return {key: values[key] for key in keys}
