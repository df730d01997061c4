"""Says what of the installation is there, what is missing, and what to do about it.

    python3 src/doctor.py [--starcraft] [--launch]

One line for every thing looked at: `ok`, `note` (works, but you may want to know) or `FAULT`, with the remedy below.
Exit code 0 if there is no fault, 1 if there is one.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs import sc2_install
from tracking import database
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
OK, NOTE, FAULT = "ok", "note", "FAULT"
MEMORY_GIB = 2.0  # a run needs about so much, and a game of its own about 0.6 more for each environment
DISK_GIB = 1.0
NEEDED = ("torch", "numpy", "numba", "scipy", "sacred", "yaml", "rich", "psutil")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. remedy: what to do, '' for nothing."""

    level: str
    subject: str
    words: str
    remedy: str = ""


def look(starcraft: bool = False, launch: bool = False) -> Iterator[Finding]:
    """All findings, one after the other. starcraft: the game must be there; launch: start it."""
    yield python()
    yield from packages()
    if importlib.util.find_spec("torch") is not None:
        yield device()
    yield numba_cache()
    yield memory()
    yield disk()
    yield loopback()
    yield mongodb()
    yield from game(starcraft, launch)


def python() -> Finding:
    """The interpreter."""
    words = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < (3, 11):  # noqa: UP036 - this program is what tells an older one
        return Finding(FAULT, "Python", words, "Python 3.11 or newer is needed.")
    return Finding(OK, "Python", words)


def packages() -> Iterator[Finding]:
    """What requirements.txt names."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding(FAULT, "packages", f"missing: {', '.join(missing)}", "bash install_dependencies.sh")
    else:
        yield Finding(OK, "packages", f"all there, numba {importlib.metadata.version('numba')}")


def device() -> Finding:
    """Torch and what it computes on."""
    import torch

    if torch.cuda.is_available():
        return Finding(OK, "torch", f"{torch.__version__}, GPU {torch.cuda.get_device_name(0)}")
    return Finding(OK, "torch", f"{torch.__version__}, on the CPU (device=cpu; a GPU is not needed)")


def numba_cache() -> Finding:
    """Where compiled battle kernels are kept between runs."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(named) if named else ROOT / "src" / "skirmish" / "__pycache__"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            NOTE,
            "Numba cache",
            f"{folder} cannot be written ({error.strerror}): kernels may be compiled anew in every run",
            "export NUMBA_CACHE_DIR=<a folder of yours>",
        )
    return Finding(OK, "Numba cache", f"{folder} can be written")


def memory() -> Finding:
    """Free main memory."""
    if importlib.util.find_spec("psutil") is None:
        return Finding(NOTE, "memory", "unknown without psutil", "bash install_dependencies.sh")
    import psutil

    free = psutil.virtual_memory().available / 2**30
    if free < MEMORY_GIB:
        return Finding(FAULT, "memory", f"{free:.1f} GiB free", f"A run needs about {MEMORY_GIB:g} GiB: end something.")
    return Finding(OK, "memory", f"{free:.1f} GiB free")


def disk() -> Finding:
    """Free space where results go."""
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < DISK_GIB:
        remedy = "Make room, or put the results elsewhere: local_results_path=<folder>."
        return Finding(FAULT, "disk", f"{free:.1f} GiB free at {ROOT}", remedy)
    return Finding(OK, "disk", f"{free:.1f} GiB free at {ROOT}")


def loopback() -> Finding:
    """Whether a program here can listen on a port that another one reaches, as the game must."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return Finding(OK, "ports", "a free one could be opened and reached on 127.0.0.1")
    except OSError as error:
        remedy = "StarCraft II listens on a free port of 127.0.0.1: end what takes them all, or lift the sandbox."
        return Finding(FAULT, "ports", f"no port of 127.0.0.1 can be opened and reached: {error}", remedy)


def mongodb() -> Finding:
    """The database that the environment names."""
    if not os.environ.get(database.URL):
        return Finding(OK, "MongoDB", "none asked for; runs are recorded in folders")
    try:
        import pymongo
        from pymongo.errors import PyMongoError
    except ImportError:
        return Finding(FAULT, "MongoDB", "pymongo is missing", "bash install_dependencies.sh")
    shown = "its address"
    try:
        address = database.resolve("")
        shown = database.parts_of(address)[0]  # without what may be a password
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(address, serverSelectionTimeoutMS=2000)
        with client:
            client.admin.command("ping")
    except (PyMongoError, ValueError, UserError) as error:
        words = f"AMAL_MONGO_URL ({shown}) does not answer: {type(error).__name__}"
        return Finding(FAULT, "MongoDB", words, "Start the server, or: unset AMAL_MONGO_URL")
    return Finding(OK, "MongoDB", f"{shown} answers")


# --- StarCraft II -----------------------------------------------------------------------------------------------------


def game(required: bool, launch: bool) -> Iterator[Finding]:
    """Everything about the real game."""
    try:
        found = sc2_install.find()
    except sc2_install.InstallationError as error:
        if required or os.environ.get(sc2_install.VARIABLE):
            yield Finding(FAULT, "StarCraft II", str(error))
        else:
            words = "not installed: env_args.engine=auto plays on the embedded engine"
            yield Finding(OK, "StarCraft II", words)
        return
    yield Finding(OK, "StarCraft II", f"{found.version} (Base{found.build}) in {found.folder}")
    yield from leftovers()
    yield libraries(found.binary)
    missing = sc2_install.missing_packages()
    if missing:
        remedy = "python3 -m pip install --no-deps -r requirements-starcraft.txt"
        yield Finding(FAULT, "SC2 packages", f"missing: {', '.join(missing)}", remedy)
    else:
        yield Finding(OK, "SC2 packages", f"all there, pysc2 {importlib.metadata.version('pysc2')}")
    yield from maps(found)
    if launch and not missing:
        yield start(found)


def libraries(binary: Path) -> Finding:
    """Whether the system has the libraries that the program is linked to."""
    libc = " ".join(platform.libc_ver()).strip() or "no glibc"
    tool = shutil.which("ldd")
    if platform.system() != "Linux" or tool is None:
        return Finding(OK, "libraries", f"not checked on {platform.system()}")
    listed = subprocess.run([tool, str(binary)], capture_output=True, text=True, timeout=20, check=False)
    missing = [line.split()[0] for line in listed.stdout.splitlines() if "not found" in line]
    if missing:
        remedy = "Install the packages of your system that hold them; the client is made for glibc, not for musl."
        return Finding(FAULT, "libraries", f"the game lacks {', '.join(dict.fromkeys(missing))} ({libc})", remedy)
    return Finding(OK, "libraries", f"nothing is missing ({libc})")


def maps(found: sc2_install.Installation) -> Iterator[Finding]:
    """SMAC's map files against their checksums."""
    absent, wrong = [], []
    for name, entry in sc2_install.official_maps().items():
        try:
            if found.map_checksum(name) != entry["md5"]:
                wrong.append(name)
        except sc2_install.InstallationError:
            absent.append(name)
        except OSError as error:
            yield Finding(
                FAULT, f"map {name}", f"cannot be read: {error.strerror}", "Give yourself the right to read it."
            )
    total = len(sc2_install.official_maps())
    if absent:
        yield Finding(FAULT, "maps", f"{len(absent)} of {total} are missing: {', '.join(absent)}", sc2_install.INSTALL)
    if wrong:
        remedy = f"These are not SMAC's maps, so results do not compare; to replace them: {sc2_install.INSTALL}"
        yield Finding(FAULT, "maps", f"{len(wrong)} differ from SMAC's: {', '.join(wrong)}", remedy)
    if not absent and not wrong:
        yield Finding(OK, "maps", f"all {total} of SMAC's, with the right checksums")


def leftovers() -> Iterator[Finding]:
    """Games that run already: perhaps of another run, perhaps left by a program that died."""
    if importlib.util.find_spec("psutil") is None:
        return
    import psutil

    found = [process.pid for process in psutil.process_iter(["name"]) if process.info["name"] == "SC2_x64"]
    if found:
        numbers = " ".join(str(pid) for pid in found)
        yield Finding(NOTE, "running games", f"{len(found)}, processes {numbers}", f"If none is yours: kill {numbers}")


def start(found: sc2_install.Installation) -> Finding:
    """Start the game, connect, and end it."""
    from envs.sc2_client import Client, ClientError

    began = time.monotonic()
    try:
        client = Client(found, launch_timeout=60, request_timeout=20)
        answer = client.ask("answering a ping", lambda controller: controller.ping())
        client.close()
    except ClientError as error:
        return Finding(FAULT, "launch", str(error), "See docs/troubleshooting.md, where the game does not start.")
    return Finding(OK, "launch", f"version {answer.game_version} answered after {time.monotonic() - began:.1f} s")


def main(arguments: Sequence[str], say: Callable[[str], None] = print) -> int:
    """Look, say what was found, and return the exit code."""
    parser = argparse.ArgumentParser(prog="doctor.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--starcraft", action="store_true", help="StarCraft II must be there")
    parser.add_argument("--launch", action="store_true", help="start StarCraft II, too")
    options = parser.parse_args(arguments)
    faults = 0
    for finding in look(options.starcraft or options.launch, options.launch):
        faults += finding.level == FAULT
        say(f"{finding.level:<6}{finding.subject:<15}{finding.words}")
        if finding.remedy:
            say(f"{'':<21}-> {finding.remedy}")
    say(f"{faults} fault{'s' * (faults != 1)} found." if faults else "Nothing is wrong.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
