"""The installer of the game against a file server of the test's own."""

import hashlib
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from envs import sc2_download, sc2_install

ROOT = Path(__file__).resolve().parents[2]
MAPS = ("3m", "8m")


class Handler(BaseHTTPRequestHandler):
    """Serves bytes by path, with ranges; breaks off after `server.break_after` bytes, each time."""

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: server.break_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A file server with a tiny client and two maps; `server.url` is its mirror."""
    with zipfile.ZipFile(tmp_path / "client.zip", "w") as archive:
        archive.writestr("StarCraftII/Versions/Base75689/SC2_x64", "#!/bin/sh\n" + "# padding\n" * 500)
        archive.writestr("StarCraftII/.build.info", "")
    maps = {name: f"the map {name}".encode() for name in MAPS}
    sums = {name: {"md5": hashlib.md5(content).hexdigest()} for name, content in maps.items()}
    monkeypatch.setattr(sc2_download, "official_maps", lambda: sums)
    monkeypatch.setattr(sc2_install, "official_maps", lambda: sums)
    monkeypatch.setattr(sc2_download, "_PATIENCE", 0.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files = {f"/SMAC_Maps/{name}.SC2Map": content for name, content in maps.items()}
        running.files["/SC2.4.10.zip"] = (tmp_path / "client.zip").read_bytes()
        running.asked, running.break_after = [], None
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def install(server, folder, *arguments):
    lines = []
    options = ("--mirror", server.url, "--sc2path", str(folder), "--accept-license", *arguments)
    return sc2_download.main(options, lines.append), lines


def left_beside(folder):
    return sorted(path.name for path in folder.parent.iterdir() if path.name.startswith("."))


def test_client_and_maps_are_installed_and_a_second_time_nothing_happens(server, tmp_path, monkeypatch):
    folder = tmp_path / "games" / "SC2"
    assert install(server, folder)[0] == 0
    monkeypatch.setenv("SC2PATH", str(folder))
    found = sc2_install.find("4.10")
    assert (found.build, found.version) == (75689, "4.10.0")
    assert [found.map_checksum(name) == sc2_install.official_maps()[name]["md5"] for name in MAPS] == [True, True]
    assert left_beside(folder) == []
    asked = len(server.asked)
    code, lines = install(server, folder)
    assert (code, len(server.asked)) == (0, asked)
    assert sum("already" in line for line in lines) == 2


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    folder = tmp_path / "SC2"
    size = len(server.files["/SC2.4.10.zip"])
    server.break_after = size // 2
    code, lines = install(server, folder)
    assert code == 0
    assert any("broke off" in line for line in lines)
    ranges = [wanted for path, wanted in server.asked if path.endswith(".zip")]
    assert ranges[:2] == [None, f"bytes={size // 2}-"]
    assert (folder / "Versions/Base75689/SC2_x64").is_file()


def test_an_interrupted_installation_is_taken_up_by_the_next(server, tmp_path, capsys):
    folder = tmp_path / "SC2"
    server.break_after = 10
    assert install(server, folder)[0] == 1
    assert "it goes on at" in capsys.readouterr().err
    assert not folder.exists()
    assert (tmp_path / ".SC2.4.10.zip.part").stat().st_size == 50
    server.break_after = None
    assert install(server, folder)[0] == 0
    assert ("/SC2.4.10.zip", "bytes=50-") in server.asked


def test_what_came_whole_is_not_downloaded_again(server, tmp_path):
    (tmp_path / ".SC2.4.10.zip.part").write_bytes(server.files["/SC2.4.10.zip"])
    assert install(server, tmp_path / "SC2")[0] == 0


def test_a_damaged_archive_installs_nothing(server, tmp_path, capsys):
    content = bytearray(server.files["/SC2.4.10.zip"])
    content[len(content) // 3] ^= 255
    server.files["/SC2.4.10.zip"] = bytes(content)
    assert install(server, tmp_path / "SC2")[0] == 1
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "SC2").exists()
    assert left_beside(tmp_path / "SC2") == []


def test_a_wrong_map_is_refused(server, tmp_path, capsys):
    server.files["/SMAC_Maps/8m.SC2Map"] = b"another map"
    folder = tmp_path / "SC2"
    assert install(server, folder)[0] == 1
    assert "8m.SC2Map is not the map" in capsys.readouterr().err
    assert [path.name for path in (folder / "Maps" / "SMAC_Maps").iterdir()] == ["3m.SC2Map"]


def test_a_missing_file_and_a_folder_in_use_are_told(server, tmp_path, capsys):
    assert install(server, tmp_path / "SC2", "--build", "4.6.2")[0] == 1
    assert "404" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert install(server, tmp_path / "full")[0] == 1
    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / "full" / "thesis.txt").exists()


def test_nothing_comes_without_consent_to_the_licence(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert sc2_download.main(["--mirror", server.url, "--sc2path", str(tmp_path / "SC2")]) == 1
    assert "consent" in capsys.readouterr().err
    assert server.asked == []
    assert sc2_download.accepted(False, lambda _: "yes")
    assert not sc2_download.accepted(False, lambda _: "n")


def test_a_dry_run_says_every_step_and_does_nothing(tmp_path):
    folder = tmp_path / "SC2"
    command = [
        "bash",
        "install_dependencies.sh",
        "--starcraft",
        "--dry-run",
        "--build",
        "4.6.2",
        "--sc2path",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for step in (
        "-r requirements.txt",
        "--no-deps -r requirements-starcraft.txt",
        "git+https://github.com/oxwhirl/smac.git",
        "consent",
        "SC2.4.6.2.69232.zip",
        "Base69232",
        "download 23 maps",
    ):
        assert step in done.stdout, step
    assert not folder.exists()


def test_an_unknown_argument_of_the_script_is_refused():
    done = subprocess.run(["bash", "install_dependencies.sh", "--starcaft"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--starcraft" in done.stderr
