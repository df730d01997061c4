"""A program that looks like StarCraft II to pysc2: same command line, same protocol, other battles behind it.

Started by pysc2's launcher from a made-up SC2PATH (see installation.py), whose `standin.json` says what to play and
what to do wrong:

    {"game": "skirmish" | "still" | "recording", "recording": path,
     "slow_start": seconds, "dies_at_start": true, "late_units": loops,
     "faults": [{"launch": 1, "at": "step", "number": 3, "do": "crash" | "hang" | "error" | "end"}]}

A fault strikes the given launch (0: every one) when the request of that name comes for the given time. `launches.txt`
gets the number of every process, `requests.txt` the name of every request with its main argument.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(Path(__file__).parent)]

import frames  # noqa: E402

from envs import sc2_protobuf  # noqa: E402

sc2_protobuf.install()
from s2clientprotocol import sc2api_pb2 as sc  # noqa: E402

LAUNCHED, INIT_GAME, IN_GAME, QUIT = sc.launched, sc.init_game, sc.in_game, sc.quit


class Server:
    """Answers the requests of one client."""

    def __init__(self, folder):
        self.folder = folder
        self.config = json.loads((folder / "standin.json").read_text())
        with (folder / "launches.txt").open("a+") as file:
            file.write(f"{os.getpid()}\n")
            file.flush()
            file.seek(0)
            self.launch = len(file.read().split())
        self.counts = {}
        self.status = LAUNCHED
        self.pending = []
        self.empty = False  # everyone was killed, and the map has not noticed yet
        self.late = 0

    def answer(self, request):
        """The serialized response to a request; None for `quit`."""
        name = request.WhichOneof("request")
        if name == "quit":
            return None
        response = sc.Response(id=request.id)
        getattr(response, name).SetInParent()
        self.counts[name] = self.counts.get(name, 0) + 1
        fault = self.fault_at(name)
        if fault == "error":
            response.error.append(f"the stand-in refuses this {name}")
        else:
            getattr(self, f"on_{name}")(getattr(request, name), getattr(response, name))
        if fault == "end":
            response.observation.player_result.add(player_id=1, result=sc.Defeat)
            self.status = sc.ended
        response.status = self.status
        return response.SerializeToString()

    def fault_at(self, name):
        for fault in self.config.get("faults", []):
            if fault["launch"] in (0, self.launch) and fault["at"] == name and fault["number"] == self.counts[name]:
                print(
                    f"the stand-in was told to {fault['do']} at {name} {fault['number']}", file=sys.stderr, flush=True
                )
                if fault["do"] == "crash":
                    os._exit(139)
                if fault["do"] == "hang":
                    time.sleep(3600)
                return fault["do"]
        return None

    def on_ping(self, _, response):
        response.game_version, response.base_build, response.data_version = "4.10.0", 75689, "STANDIN"
        response.data_build = 75689

    def on_create_game(self, request, _):
        from games import GAMES

        assert self.status == LAUNCHED and request.local_map.map_data and not request.realtime
        computer = request.player_setup[1]
        self.log(
            f"create_game {request.local_map.map_path} seed {request.random_seed} difficulty {computer.difficulty}"
        )
        map_name = Path(request.local_map.map_path).stem
        kind = self.config.get("game", "skirmish")
        self.game = GAMES[kind](self.config["recording"] if kind == "recording" else map_name, request.random_seed)
        self.status = INIT_GAME

    def on_join_game(self, request, response):
        assert self.status == INIT_GAME and request.options.raw
        self.appear()
        response.player_id = 1
        self.status = IN_GAME

    def on_game_info(self, _, response):
        spec, start = self.game.spec, response.start_raw
        start.map_size.x, start.map_size.y = spec.pathing.shape
        start.playable_area.p1.x, start.playable_area.p1.y = spec.pathing.shape
        start.pathing_grid.size.x, start.pathing_grid.size.y = spec.pathing.shape
        if self.config.get("old_grids"):
            start.pathing_grid.bits_per_pixel = 8
            start.pathing_grid.data = np.where(spec.pathing, 0, 255).astype(np.uint8)[:, ::-1].T.tobytes()
        else:
            start.pathing_grid.bits_per_pixel = 1
            start.pathing_grid.data = np.packbits(spec.pathing.T.astype(np.uint8)).tobytes()
        start.terrain_height.bits_per_pixel = 8
        start.terrain_height.data = np.ascontiguousarray(spec.height.T).tobytes()

    def on_observation(self, _, response):
        response.observation.game_loop = 1
        for index, values in enumerate(self.game.units()):
            if self.late and index % 2:
                continue
            unit = response.observation.raw_data.units.add()
            for name, value in values.items():
                setattr(unit.pos if name in "xy" else unit, name, value)

    def on_action(self, request, _):
        for action in request.actions:
            command = action.action_raw.unit_command
            point = command.target_world_space_pos
            at = (point.x, point.y) if command.HasField("target_world_space_pos") else None
            assert len(command.unit_tags) == 1 and not command.queue_command
            self.pending.append((command.unit_tags[0], command.ability_id, command.target_unit_tag, at))

    def on_step(self, request, _):
        if self.late:
            self.late -= request.count
            self.late = max(self.late, 0)
        elif self.empty:
            self.appear()
        else:
            self.game.play(self.pending, request.count)
        self.pending = []

    def on_debug(self, request, _):
        assert all(command.HasField("kill_unit") for command in request.debug)
        self.log(f"debug kill {len(request.debug[0].kill_unit.tag)}")
        self.empty = True

    def on_save_replay(self, _, response):
        response.data = b"a replay of the stand-in"

    def appear(self):
        self.game.appear()
        self.empty = False
        self.late = self.config.get("late_units", 0)

    def log(self, line):
        with (self.folder / "requests.txt").open("a") as file:
            file.write(line + "\n")


def main(arguments):
    """Serve one client and end with it."""
    options = dict(zip(arguments[::2], arguments[1::2]))
    server = Server(Path(options["-dataDir"]))
    if server.config.get("dies_at_start"):
        print("error while loading shared libraries: libstandin.so", file=sys.stderr)
        sys.exit(127)
    time.sleep(server.config.get("slow_start", 0))
    with socket.create_server((options["-listen"], int(options["-port"]))) as listener:
        connection = listener.accept()[0]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not frames.shake_hands(connection):
            return
        while (message := frames.read(connection)) is not None:
            answer = server.answer(sc.Request.FromString(message))
            if answer is None:
                return
            frames.write(connection, answer)


if __name__ == "__main__":
    main(sys.argv[1:])
