"""Modules that add to the registries when they are imported: those that the key `plugins` names, and installed ones."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points

from utils.errors import UserError

GROUP = "amal.plugins"
"""The entry points under which installed packages announce such modules."""


def import_plugins(modules: Iterable[str]) -> None:
    """Import what installed packages announce, then `modules`; every process that asks a registry calls this first.

    Raises UserError for a module that is not there. What a module itself raises comes through.
    """
    for entry in entry_points(group=GROUP):
        _import(entry.module, f' that the entry point "{entry.name}" announces')
    for name in modules:
        _import(str(name))


def _import(name: str, origin: str = "") -> None:
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        raise UserError(f'plugins: "{name}" is no name of a module; write it as behind "import", without .py.')
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):  # something that the module needs
            raise
        places = "" if origin else ", nor beside the YAML file that names it"
        raise UserError(f'The plug-in module "{name}"{origin} is not on PYTHONPATH{places}.') from None
