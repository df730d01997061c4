"""Errors that speak to the person at the keyboard: one sentence, with the nearest valid choice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user asked for. `main.py` prints it as one sentence and exits with code 2."""


def nearest(name: object, choices: Iterable[str]) -> str:
    """Return ' Did you mean "x"?' for the choice most like `name`, or '' where nothing is like it."""
    by_lower = {str(choice).lower(): str(choice) for choice in choices}
    matches = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return f' Did you mean "{by_lower[matches[0]]}"?' if matches else ""
