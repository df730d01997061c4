"""The doctor on installations that lack something."""

import hashlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import doctor
from envs import sc2_install

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "standin_sc2"))

from installation import MAPS, StandIn  # noqa: E402


@pytest.fixture
def examine(monkeypatch):
    """Call the doctor: `examine("--launch") -> (exit code, {subject: (level, words)}, text)`."""
    sums = {name: {"md5": hashlib.md5(b"no real map: " + name.encode()).hexdigest()} for name in MAPS}
    monkeypatch.setattr(sc2_install, "official_maps", lambda: sums)
    monkeypatch.setattr(doctor, "MEMORY_GIB", 0.0)
    monkeypatch.setattr(doctor, "DISK_GIB", 0.0)

    def call(*arguments):
        lines = []
        code = doctor.main(list(arguments), lines.append)
        found = {line[6:21].strip(): (line[:6].strip(), line[21:]) for line in lines[:-1] if line[:6].strip()}
        return code, found, "\n".join(lines)

    return call


@pytest.fixture
def standin(tmp_path, monkeypatch):
    made = []

    def make(**options):
        made.append(StandIn(tmp_path / "StarCraftII", **options))
        monkeypatch.setenv("SC2PATH", str(made[-1].folder))
        return made[-1]

    yield make
    left = [pid for one in made for pid in one.running]
    for one in made:
        one.end_all()
    assert not left


def test_without_the_game_nothing_is_wrong_unless_it_is_asked_for(examine):
    code, found, text = examine()
    assert code == 0
    assert found["StarCraft II"][0] == "ok"
    assert text.endswith("Nothing is wrong.")
    code, found, text = examine("--starcraft")
    assert code == 1
    assert found["StarCraft II"][0] == "FAULT"
    assert "install_dependencies.sh --starcraft" in text
    assert text.endswith("1 fault found.")


def test_an_installation_that_is_right(examine, standin):
    pytest.importorskip("pysc2", reason="needs requirements-starcraft.txt")
    standin(game="still")
    code, found, text = examine("--launch")
    assert code == 0, text
    assert {level for level, _ in found.values()} <= {"ok", "note"}
    assert found["StarCraft II"][1].startswith("4.10.0 (Base75689) in ")
    assert found["maps"][1] == "all 23 of SMAC's, with the right checksums"
    assert found["launch"][1].startswith("version 4.10.0 answered")


def test_a_path_without_the_game(examine, tmp_path, monkeypatch):
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    code, found, _ = examine()
    assert code == 1
    assert str(tmp_path) in found["StarCraft II"][1]


def test_maps_that_are_missing_or_changed(examine, standin):
    game = standin(maps=tuple(name for name in MAPS if name != "corridor"))
    (game.folder / "Maps" / "SMAC_Maps" / "8m.SC2Map").write_bytes(b"another map")
    code, _, text = examine()
    assert code == 1
    assert "1 of 23 are missing: corridor" in text
    assert "1 differ from SMAC's: 8m" in text


def test_a_program_that_may_not_be_executed(examine, standin):
    standin().binary.chmod(0o644)
    code, found, _ = examine()
    assert code == 1
    assert "chmod +x" in found["StarCraft II"][1]


def test_a_program_that_is_not_there(examine, standin):
    standin().binary.unlink()
    assert "is missing" in examine()[1]["StarCraft II"][1]


def test_a_game_that_does_not_start(examine, standin):
    pytest.importorskip("pysc2", reason="needs requirements-starcraft.txt")
    standin(dies_at_start=True)
    code, found, text = examine("--launch")
    assert code == 1
    assert found["launch"][0] == "FAULT"
    assert "libstandin.so" in text


def test_missing_libraries_and_packages_are_named(examine, standin, monkeypatch, tmp_path):
    standin()
    (tmp_path / "ldd").write_text('#!/bin/sh\necho "libbeam.so.1 => not found"\necho "libc.so.6 => /lib/libc.so.6"\n')
    (tmp_path / "ldd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(sc2_install, "PACKAGES", ("pysc42",))
    code, found, _ = examine()
    assert code == 1
    assert "lacks libbeam.so.1" in found["libraries"][1]
    assert found["SC2 packages"] == ("FAULT", "missing: pysc42")


def test_ports_that_are_taken(examine, monkeypatch):
    def taken(*_, **__):
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(socket, "create_server", taken)
    code, found, _ = examine()
    assert code == 1
    assert "Address already in use" in found["ports"][1]


def test_little_memory_a_full_disk_and_a_silent_database(examine, monkeypatch):
    monkeypatch.setattr(doctor, "MEMORY_GIB", 1e6)
    monkeypatch.setattr(doctor, "DISK_GIB", 1e6)
    monkeypatch.setenv("AMAL_MONGO_URL", "mongodb://me:secret@127.0.0.1:9/?connectTimeoutMS=100")
    code, found, text = examine()
    assert code == 1
    assert {found[subject][0] for subject in ("memory", "disk", "MongoDB")} == {"FAULT"}
    assert "secret" not in text


def test_it_runs_as_a_program():
    done = subprocess.run([sys.executable, str(ROOT / "src" / "doctor.py")], capture_output=True, text=True)
    assert done.stdout.startswith("ok    Python")
    assert done.returncode == (1 if "FAULT" in done.stdout else 0)


def test_it_runs_where_nothing_is_installed():
    done = subprocess.run([sys.executable, "-S", str(ROOT / "src" / "doctor.py")], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "missing: torch, numpy" in done.stdout
