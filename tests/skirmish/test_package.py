"""The library installs alone, and its optional parts say what they lack."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "skirmish"

BATTLE = """
import sys
import skirmish
from skirmish.env import StarCraft2Env
env = StarCraft2Env(map_name="3m", seed=1, notify=None)
env.reset()
terminated, steps = False, 0
while not terminated:
    _, terminated, info = env.step([row.index(1) for row in env.get_avail_actions()])
    steps += 1
print(skirmish.__file__, skirmish.__version__, steps, info["dead_allies"], env.seed())
"""


def run(code, path, **variables):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": str(path)},
        cwd=path,
        capture_output=True,
        text=True,
        timeout=240,
    )


def lend_kernels(folder):
    """Give an installed copy the kernels compiled for the sources, if there are any: compiling takes half a minute."""
    for source in SOURCE.glob("*.py"):
        if (folder / source.name).exists():
            times = source.stat()
            os.utime(folder / source.name, ns=(times.st_atime_ns, times.st_mtime_ns))
    (folder / "__pycache__").mkdir(exist_ok=True)
    for compiled in (SOURCE / "__pycache__").iterdir():
        if compiled.suffix in (".nbi", ".nbc", ".sources"):
            shutil.copy2(compiled, folder / "__pycache__")


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A folder with nothing but the installed library (numpy and numba come from this Python)."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    before = {path for path in SOURCE.rglob("*") if "__pycache__" not in path.parts}
    done = subprocess.run(
        [*command, "--no-build-isolation", "--target", str(folder), str(SOURCE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    after = {path for path in SOURCE.rglob("*") if "__pycache__" not in path.parts}
    assert after == before, "building wrote into the source folder"
    return folder


def test_an_installed_copy_plays_without_the_rest_of_the_project(target):
    lend_kernels(target / "skirmish")
    done = run(BATTLE, target)
    assert done.returncode == 0, done.stderr
    place, version, steps, dead, seed = done.stdout.split()
    assert Path(place).parent == target / "skirmish"
    assert (dead, seed) == ("3", "1")
    assert 1 < int(steps) <= 60
    import skirmish

    assert version == skirmish.__version__


def test_nothing_is_missing_from_the_installed_copy(target):
    def files(folder):
        return {
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    assert files(SOURCE) - files(target / "skirmish") <= {"pyproject.toml", "setup.py", "README.md"}


def test_only_the_library_is_imported():
    code = "import sys, skirmish.env, skirmish.dict_env; print(*sorted(sys.modules))"
    done = run(code, SOURCE.parent)
    assert done.returncode == 0, done.stderr
    ours = {path.stem for path in SOURCE.parent.iterdir() if path.name not in ("skirmish", "__pycache__")}
    roots = {name.split(".")[0] for name in done.stdout.split()}
    assert roots & (ours | {"torch", "gymnasium", "pettingzoo", "sacred"}) == set()


@pytest.mark.parametrize(
    ("interface", "lacking"), [("parallel_env", "pettingzoo"), ("vector_env", "gymnasium"), ("spaces", "gymnasium")]
)
def test_a_missing_library_is_named_with_the_line_that_installs_it(interface, lacking):
    code = f"""
import importlib.util as u
found = u.find_spec
u.find_spec = lambda name, *rest: None if name == "{lacking}" else found(name, *rest)
try:
    import skirmish.{interface}
except ImportError as error:
    print(error)
"""
    done = run(code, SOURCE.parent)
    assert f"needs {lacking}, which is not installed: python -m pip install '{lacking}>=" in done.stdout, done.stderr


@pytest.mark.long
def test_kernels_are_kept_elsewhere_where_the_library_cannot_be_written(target, tmp_path):
    locked = tmp_path / "locked"
    shutil.copytree(target, locked, ignore=shutil.ignore_patterns("__pycache__"))
    # A file in the place of the folder that Numba would write to: nobody, not even root, can create it.
    (locked / "skirmish" / "__pycache__").write_text("")
    home = tmp_path / "home"
    home.mkdir()
    variables = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run(BATTLE, locked, **variables)
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*.nbi"))


def test_a_wheel_holds_the_data(tmp_path):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(tmp_path), str(SOURCE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("skirmish_smac-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"skirmish/data/maps.json", "skirmish/data/units.json", "skirmish/__init__.py"} <= set(names)
    assert not [name for name in names if "tests" in name or name.endswith(".nbi")]
