"""A made-up SC2PATH whose game is the stand-in."""

import json
import os
import sys
from pathlib import Path

from skirmish.maps import MAP_NAMES

SERVER = Path(__file__).with_name("server.py")
MAPS = tuple(name for name in MAP_NAMES if name != "2m_vs_1m")


class StandIn:
    """The folder; `configure(...)` says what the next launches do (see server.py)."""

    def __init__(self, folder, builds=(75689,), maps=MAPS, **config):
        self.folder = Path(folder)
        for build in builds:
            self.binary = self.folder / "Versions" / f"Base{build}" / "SC2_x64"
            self.binary.parent.mkdir(parents=True)
            self.binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SERVER}" "$@"\n')
            self.binary.chmod(0o755)
        (self.folder / "Maps" / "SMAC_Maps").mkdir(parents=True)
        for name in maps:
            (self.folder / "Maps" / "SMAC_Maps" / f"{name}.SC2Map").write_bytes(b"no real map: " + name.encode())
        self.configure(**config)

    def configure(self, **config):
        """Say what the launches from now on do."""
        (self.folder / "standin.json").write_text(json.dumps(config))

    def _lines(self, name):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    @property
    def pids(self):
        """Numbers of all processes so far."""
        return [int(line) for line in self._lines("launches.txt")]

    @property
    def requests(self):
        """What the processes were asked for, as far as server.py logs it."""
        return self._lines("requests.txt")

    @property
    def running(self):
        """Numbers of the processes that are still there."""
        return [pid for pid in self.pids if _runs(pid)]

    def end_all(self):
        """End whatever is left."""
        for pid in self.running:
            os.kill(pid, 9)


def _runs(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
