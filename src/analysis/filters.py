"""Conditions on runs as people type them: `env_args.map_name=3m`, `lr>0.0005`, `test_battle_won_mean>=0.9`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from utils.errors import UserError, nearest

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "~": lambda found, wanted: isinstance(found, str) and re.search(wanted, found) is not None,
}
# Which value of a metric is meant; the name alone means the last one
REDUCTIONS = ("last", "max", "min")

_CONDITION = re.compile(r"^\s*(?P<key>[^\s=!<>~]+)\s*(?P<operator>>=|<=|!=|==|=|>|<|~)\s*(?P<value>.*?)\s*$", re.DOTALL)
_REDUCED = re.compile(rf"^({'|'.join(REDUCTIONS)})\((.+)\)$")
TIMES = frozenset({"started", "finished", "heartbeat"})


@dataclass(frozen=True)
class Condition:
    """One condition: `reduction` is set for a metric written as `max(name)`."""

    key: str
    operator: str
    value: Any
    reduction: str | None = None

    def holds(self, found: Any) -> bool:
        """Return whether a value meets the condition; a missing one meets only `=null` and `!=`."""
        if found is None or found != found:
            return self.value is None if self.operator == "=" else self.operator == "!=" and self.value is not None
        wanted = self.value
        if self.key in TIMES:
            found, wanted = _comparable_times(str(found), str(wanted))
        elif isinstance(found, str) and wanted is not None and self.operator in ("=", "!="):
            wanted = str(wanted)  # difficulty=7 means the text "7" too
        elif isinstance(found, bool) != isinstance(wanted, bool) and self.operator in ("=", "!="):
            return self.operator == "!="
        try:
            return bool(OPERATORS[self.operator](found, wanted))
        except TypeError:  # such as a list < a number
            return False


def parse(text: str) -> Condition:
    """Read one condition; raises UserError where it is none."""
    match = _CONDITION.match(text)
    if match is None:
        raise UserError(f'"{text}" is no condition; write key=value, with one of {" ".join(OPERATORS)} between them.')
    sign = "=" if match["operator"] == "==" else match["operator"]
    key, reduction = match["key"], None
    if reduced := _REDUCED.match(key):
        reduction, key = reduced[1], reduced[2]
    value: Any = match["value"]
    if sign == "~":
        try:
            re.compile(value)
        except re.error as error:
            raise UserError(f'"{value}" in "{text}" is no regular expression: {error}.') from None
    elif key not in TIMES:
        value = _value(value)
    return Condition(key, sign, value, reduction)


def unknown_key(key: str, known: Iterable[str], what: str) -> UserError:
    """Return the error for a name that is no column, configuration key or metric of any run."""
    known = sorted(known)
    leaf = [name for name in known if name.rpartition(".")[2] == key]
    hint = f' Did you mean "{leaf[0]}"?' if leaf else nearest(key, known)
    return UserError(f'No run has a {what} "{key}".{hint}')


def has_key(config: Mapping[str, Any], key: str) -> bool:
    """Return whether a configuration has this dotted key, with whatever value."""
    parent, _, leaf = key.rpartition(".")
    found = value_of(config, parent) if parent else config
    return isinstance(found, Mapping) and leaf in found


def value_of(config: Mapping[str, Any], key: str) -> Any:
    """Return a configuration's value by dotted key, None where there is none."""
    found: Any = config
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _value(text: str) -> Any:
    """Return a number, a truth value, null or a list where the text is one, else the text."""
    try:
        number = float(text)
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else number
    except ValueError:
        pass
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() in ("null", "none", ""):
        return None
    if text[0] in "[\"'":
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text


def _comparable_times(found: str, wanted: str) -> tuple[str, str]:
    """Cut a time to the precision of the wanted one: `started=2026-11-21` is any time of that day."""
    wanted = wanted.replace(" ", "T")
    return found[: len(wanted)], wanted
