"""What the tests of StarCraft II share: an installation whose game is the stand-in."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "standin_sc2"))


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """Make SC2PATH a stand-in: `standin(game="still", ...) -> StandIn`; afterwards no process of it may be left."""
    pytest.importorskip("pysc2", reason="needs requirements-starcraft.txt")
    from installation import StandIn

    made = []

    def make(**options):
        made.append(StandIn(tmp_path / f"StarCraftII{len(made)}", **options))
        monkeypatch.setenv("SC2PATH", str(made[-1].folder))
        return made[-1]

    yield make
    left = [pid for one in made for pid in one.running]
    for one in made:
        one.end_all()
    assert not left, f"games left behind: {left}"
