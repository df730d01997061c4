"""Where StarCraft II is installed. Needs neither the game's Python packages nor anything else that is not built in."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

VARIABLE = "SC2PATH"
"""The environment variable that names the game's folder; where it is set (even to nothing), no other place counts."""

PACKAGES = ("pysc2", "s2clientprotocol", "portpicker", "websocket", "absl", "google.protobuf")

INSTALL = "bash install_dependencies.sh --starcraft"

_BINARIES = {"Windows": "SC2_x64.exe", "Darwin": "SC2.app/Contents/MacOS/SC2"}
_USUAL_PLACES = {
    "Windows": ("C:/Program Files (x86)/StarCraft II",),
    "Darwin": ("/Applications/StarCraft II",),
}
_ROOT = Path(__file__).resolve().parents[2]


class InstallationError(ValueError):
    """The game, or a part of it, is not there; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Installation:
    """One client: its folder, build (75689), version ("4.10.0"; "Base<build>" if unknown) and program.

    game_version is what was asked for, None for the newest.
    """

    folder: Path
    build: int
    version: str
    binary: Path
    game_version: str | None = None

    def map_file(self, map_name: str) -> Path:
        """The file of a SMAC map; InstallationError if there is none."""
        if map_name not in official_maps():
            raise InstallationError(
                f'StarCraft II has no map "{map_name}": only the embedded engine has it (env_args.engine=skirmish).'
            )
        path = self.folder / "Maps" / "SMAC_Maps" / f"{map_name}.SC2Map"
        for other in ("Maps/SMAC_Maps", "maps/SMAC_Maps"):
            if (self.folder / other / path.name).is_file():
                return self.folder / other / path.name
        raise InstallationError(f"The map file {path} is missing; `{INSTALL}` installs SMAC's maps.")

    def map_checksum(self, map_name: str) -> str:
        """MD5 of a map's file."""
        return hashlib.md5(self.map_file(map_name).read_bytes(), usedforsecurity=False).hexdigest()


@cache
def official_maps() -> dict[str, dict[str, Any]]:
    """SMAC's map files by map name: `md5` and `bytes`."""
    loaded: dict[str, dict[str, Any]] = json.loads(
        (Path(__file__).parent / "sc2_maps.json").read_text(encoding="utf-8")
    )
    return loaded


def places() -> list[Path]:
    """The folders in which the game is looked for."""
    if VARIABLE in os.environ:
        return [Path(os.environ[VARIABLE]).expanduser()] if os.environ[VARIABLE] else []
    usual = _USUAL_PLACES.get(platform.system(), ("~/StarCraftII", "/opt/StarCraftII"))
    return [*(Path(place).expanduser() for place in usual), _ROOT / "3rdparty" / "StarCraftII"]


def builds(folder: Path) -> list[int]:
    """The builds that a folder of the game holds, oldest first."""
    found = (path.name.removeprefix("Base") for path in (folder / "Versions").glob("Base*") if path.is_dir())
    return sorted(int(number) for number in found if number.isdigit())


def find(game_version: str | None = None) -> Installation:
    """The client of a version ("4.10"; None: the newest) in the first place that holds the game.

    Raises InstallationError.
    """
    folder = next((place for place in places() if builds(place)), None)
    if folder is None:
        looked = ", ".join(str(place) for place in places()) or f"nowhere, because {VARIABLE} is empty"
        raise InstallationError(
            f"StarCraft II was not found (looked for Versions/Base* in: {looked}). To get it: {INSTALL}"
        )
    present = builds(folder)
    build = present[-1] if game_version is None else _build_of(game_version)
    if build not in present:
        there = ", ".join(version_of(other) for other in present)
        raise InstallationError(f'game_version="{game_version}" is not installed in {folder}; there is: {there}.')
    binary = folder / "Versions" / f"Base{build:05d}" / _BINARIES.get(platform.system(), "SC2_x64")
    if not binary.is_file():
        raise InstallationError(
            f"The game's program {binary} is missing, so it is not installed completely ({INSTALL})."
        )
    if not os.access(binary, os.X_OK):
        raise InstallationError(f"{binary} may not be executed; this may help: chmod +x {binary}")
    return Installation(folder, build, version_of(build), binary, game_version)


def require_packages() -> None:
    """InstallationError if a Python package that the game's engine needs is missing."""
    missing = missing_packages()
    if missing:
        raise InstallationError(
            f"The engine starcraft2 needs the Python packages {', '.join(missing)}: "
            "python3 -m pip install --no-deps -r requirements-starcraft.txt"
        )


def missing_packages() -> list[str]:
    """Of the Python packages that the game's engine needs, those that are not there."""
    return [name for name in PACKAGES if importlib.util.find_spec(name.partition(".")[0]) is None]


def version_of(build: int) -> str:
    """The number of the version that a build belongs to, as far as it is known: the first one of that build."""
    return {69232: "4.6.2", 75689: "4.10.0"}.get(build) or _known_versions().get(build, f"Base{build}")


def _build_of(game_version: str) -> int:
    number = game_version if game_version.count(".") > 1 else game_version + ".0"
    by_number = {"4.6.2": 69232, "4.10.0": 75689} | {name: build for build, name in _known_versions().items()}
    if number not in by_number:
        raise InstallationError(f'game_version="{game_version}" is not a known version of StarCraft II, such as 4.10.')
    return by_number[number]


@cache
def _known_versions() -> dict[int, str]:
    if missing_packages():
        return {}
    from envs import sc2_protobuf

    sc2_protobuf.install()
    from pysc2.run_configs import lib

    return {version.build_version: number for number, version in reversed(lib.VERSIONS.items())}
