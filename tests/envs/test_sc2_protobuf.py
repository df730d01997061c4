"""The game's messages load with the protobuf that tensorboard wants."""

import subprocess
import sys

import pytest

from envs import sc2_protobuf

pytest.importorskip("pysc2", reason="needs requirements-starcraft.txt")


def test_messages_survive_the_wire():
    sc2_protobuf.install()
    sc2_protobuf.install()
    assert sum(isinstance(finder, sc2_protobuf.MessageFinder) for finder in sys.meta_path) == 1
    from s2clientprotocol import raw_pb2, sc2api_pb2

    request = sc2api_pb2.Request(id=7)
    order = request.action.actions.add().action_raw.unit_command
    order.ability_id = 16
    order.target_world_space_pos.x = 1.5
    order.unit_tags.append(2**63)
    again = sc2api_pb2.Request.FromString(request.SerializeToString())
    assert again == request
    assert isinstance(again.action.actions[0].action_raw, raw_pb2.ActionRaw)
    assert sc2api_pb2.Status.Value("in_game") == 3
    assert sc2api_pb2.Request.FromString(b"\x88\x06\x07").id == 7  # field 97, written by hand


def test_all_modules_load_without_the_slow_fallback():
    code = (
        "import sys; sys.path.insert(0, 'src')\n"
        "from envs import sc2_protobuf; sc2_protobuf.install()\n"
        "from pysc2 import run_configs\nfrom pysc2.lib import remote_controller, sc_process\n"
        "from google.protobuf.internal import api_implementation\nprint(api_implementation.Type())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "upb"


def test_a_module_without_a_description_is_told():
    with pytest.raises(ImportError, match="no serialized_pb"):
        sc2_protobuf.description("x = 1")
