"""Installs StarCraft II for Linux and SMAC's maps: `install_dependencies.sh --starcraft` runs this.

    python3 src/envs/sc2_download.py [--accept-license] [--build 4.10] [--sc2path FOLDER] [--mirror URL] [--dry-run]

The client lands complete or not at all: it is downloaded beside its place (a broken download goes on where it stopped),
unpacked there, checked, and only then moved. Maps are checked against their checksums. What is there already is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from envs.sc2_install import VARIABLE, builds, official_maps

LICENSE = "https://blzdistsc2-a.akamaihd.net/AI_AND_MACHINE_LEARNING_LICENSE.html"
CLIENTS = "https://blzdistsc2-a.akamaihd.net/Linux"
MAPS = "https://raw.githubusercontent.com/oxwhirl/smac/master/smac/env/starcraft2/maps/SMAC_Maps"
ARCHIVES = {"4.10": ("SC2.4.10.zip", 75689), "4.6.2": ("SC2.4.6.2.69232.zip", 69232)}
_CONSENT = "iagreetotheeula"  # Blizzard's archives open with these words, which stand for consent to the licence
_UNPACKED_TIMES = 2.5  # how much larger than its archive the client is, about
_CHUNK = 1 << 20
_ATTEMPTS = 5
_DAMAGED = (2, 3, 51)  # what unzip says of a file that is none of its own, or broken, or cut off


class DownloadError(Exception):
    """Something could not be installed; the message says what and what to do."""


@dataclass(frozen=True)
class Source:
    """Where everything comes from; a mirror holds the archives and a folder SMAC_Maps."""

    clients: str = CLIENTS
    maps: str = MAPS

    @classmethod
    def mirror(cls, url: str) -> Source:
        """Everything from one place."""
        return cls(url.rstrip("/"), f"{url.rstrip('/')}/SMAC_Maps")


def install_client(folder: Path, build: str, source: Source, say: Callable[[str], None], dry_run: bool = False) -> None:
    """Install a build of the client into a folder that does not exist yet; nothing where it is there already."""
    archive, number = ARCHIVES[build]
    url, download = f"{source.clients}/{archive}", folder.with_name(f".{archive}.part")
    if number in builds(folder):
        say(f"StarCraft II {build} is in {folder} already")
        return
    if folder.exists() and any(folder.iterdir()):
        raise DownloadError(f"{folder} holds something else: name another place with --sc2path, or move it away.")
    say(f"download {url} to {download}")
    say(f"unpack it beside {folder}, check the program in Versions/Base{number}, then move it into place")
    if dry_run:
        return
    if shutil.which("unzip") is None:
        raise DownloadError("The program unzip is missing: install it (apt-get install unzip), then start this again.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fetch(url, download, say, _UNPACKED_TIMES)
    workplace = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(workplace, ignore_errors=True)
    try:
        command = ["unzip", "-q", "-o", "-P", _CONSENT, str(download), "-d", str(workplace)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode in _DAMAGED:
            download.unlink()
            raise DownloadError(f"{archive} is damaged and was deleted; start this again. {done.stderr.strip()}")
        if done.returncode > 1:  # 1 is a warning
            raise DownloadError(f"unzip could not unpack {download} (code {done.returncode}): {done.stderr.strip()}")
        unpacked = workplace / "StarCraftII"
        binary = unpacked / "Versions" / f"Base{number}" / "SC2_x64"
        if not binary.is_file():
            raise DownloadError(f"{archive} does not hold Versions/Base{number}/SC2_x64, so nothing was installed.")
        binary.chmod(binary.stat().st_mode | 0o111)
        if folder.exists():
            folder.rmdir()
        unpacked.rename(folder)
        download.unlink()
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    say(f"StarCraft II {build} is in {folder}")


def install_maps(folder: Path, source: Source, say: Callable[[str], None], dry_run: bool = False) -> None:
    """Bring SMAC's maps into the game's folder; those that are there with the right checksum stay."""
    target = folder / "Maps" / "SMAC_Maps"
    wanted = [name for name, entry in official_maps().items() if _md5(target / f"{name}.SC2Map") != entry["md5"]]
    if not wanted:
        say(f"all {len(official_maps())} maps are in {target} already")
        return
    say(f"download {len(wanted)} maps from {source.maps} to {target} and compare their checksums")
    if dry_run:
        return
    target.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        part = target / f".{name}.part"
        part.unlink(missing_ok=True)
        fetch(f"{source.maps}/{name}.SC2Map", part, lambda _: None)
        if _md5(part) != official_maps()[name]["md5"]:
            part.unlink()
            raise DownloadError(f"{source.maps}/{name}.SC2Map is not the map that SMAC's results were made on.")
        part.rename(target / f"{name}.SC2Map")
    say(f"{len(wanted)} maps are in {target}")


def fetch(url: str, path: Path, say: Callable[[str], None], room: float = 0.0) -> None:
    """Download a file, going on where an earlier attempt stopped; its size must be what the server says.

    room: so many times the file's size must be free besides.
    """
    for attempt in range(_ATTEMPTS):
        try:
            _fetch_rest(url, path, say, room)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise DownloadError(f"{url} cannot be downloaded: {error.code} {error.reason}.") from None
            reason: Exception = error
        except OSError as error:
            reason = error
        if attempt < _ATTEMPTS - 1:
            say(f"the download broke off ({reason}); it goes on")
            time.sleep(min(2**attempt, 10) * _PATIENCE)
    raise DownloadError(f"{url} cannot be downloaded ({reason}). Start this again later: it goes on at {path}.")


_PATIENCE = 1.0
"""Seconds before the second attempt of a download."""


def _fetch_rest(url: str, path: Path, say: Callable[[str], None], room: float) -> None:
    have = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # there is nothing after what we have
            raise
        if int((error.headers.get("Content-Range") or "*/-1").rpartition("/")[2]) == have:
            return
        path.unlink()
        raise OSError("what had been downloaded does not fit the file") from None
    with answer:
        if have and answer.status != 206:  # the server always sends all
            have = 0
        total = have + int(answer.headers["Content-Length"])
        free = shutil.disk_usage(path.parent).free
        if free < total - have + room * total:
            needed = (total - have + room * total) / 2**30
            raise DownloadError(f"{path.parent} has {free / 2**30:.1f} GiB free; {needed:.1f} GiB are needed.")
        with path.open("ab" if have else "wb") as file:
            told = have
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                if file.tell() - told > total / 10 > _CHUNK:
                    told = file.tell()
                    say(f"  {told / total:.0%} of {total / 2**20:.0f} MiB")
    if path.stat().st_size != total:
        raise OSError(f"{path.stat().st_size} of {total} bytes came")


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else ""


def accepted(flag: bool, ask: Callable[[str], str] | None) -> bool:
    """Whether the user consents to Blizzard's licence, by flag or by answer; ask is None where nobody can answer."""
    if flag or ask is None:
        return flag
    return ask(f"Do you accept Blizzard's AI and Machine Learning License ({LICENSE})? [yes/no] ").strip() == "yes"


def main(arguments: Sequence[str], say: Callable[[str], None] = print) -> int:
    """Install what is missing; exit code 0, or 1 with a sentence."""
    parser = argparse.ArgumentParser(prog="sc2_download.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--accept-license", action="store_true", help=f"consent to {LICENSE}")
    parser.add_argument("--build", choices=list(ARCHIVES), default="4.10", help="the client's version")
    parser.add_argument("--sc2path", help=f"where to install (default: {VARIABLE}, else ~/StarCraftII)")
    parser.add_argument("--mirror", help="a URL that holds the archive and SMAC_Maps/")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    options = parser.parse_args(arguments)
    folder = Path(options.sc2path or os.environ.get(VARIABLE) or "~/StarCraftII").expanduser().absolute()
    source = Source.mirror(options.mirror) if options.mirror else Source()
    try:
        if options.dry_run:
            say(f"ask for consent to {LICENSE} (--accept-license answers)")
        elif not accepted(options.accept_license, input if sys.stdin.isatty() else None):
            raise DownloadError(f"Nothing was installed: that needs your consent to {LICENSE} (--accept-license).")
        if sys.platform != "linux" and not options.dry_run:
            raise DownloadError("There is a client to download for Linux only: install the game from battle.net.")
        install_client(folder, options.build, source, say, options.dry_run)
        install_maps(folder, source, say, options.dry_run)
    except (DownloadError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if folder != Path("~/StarCraftII").expanduser():
        say(f"put this where your shell reads it: export {VARIABLE}={folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
