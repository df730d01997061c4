"""From the records of runs to numbers, tables and figures."""

from __future__ import annotations

import importlib.util

from utils.errors import UserError

REQUIREMENTS = "requirements-analysis.txt"


def require(*modules: str) -> None:
    """Raise UserError with the pip line unless all these libraries are installed; nothing is imported.

    The libraries of the analysis are no part of training's requirements, so a command calls this before it starts.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        raise UserError(
            f"This needs {names}, not installed here. Install what the analysis needs with:"
            f" python3 -m pip install -r {REQUIREMENTS}"
        )
