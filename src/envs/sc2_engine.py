"""StarCraft II as an engine of one battle: the arrays that skirmish fills, read from the real game.

The sequence of requests is that of the official package: ping, create, join, game info and observe after a launch; act,
step, observe in every step; kill everyone, step, observe between two episodes (the maps create new armies when nobody
is left).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.faults import BrokenEpisodeError, EnvironmentDownError
from envs.sc2_client import Client, ClientError, common_pb2, debug_pb2, raw_pb2, sc2api_pb2
from envs.sc2_install import Installation
from skirmish.engine import ATTACK, HEAL, MOVE, STEP_LOOPS, STOP, Engine, Orders, Units
from skirmish.maps import MapSpec
from skirmish.options import DIFFICULTIES, SettingError
from skirmish.units import UNIT_NAMES, load_units

_ABILITIES = {STOP: 4, MOVE: 16, ATTACK: 23, HEAL: 386}
_RACES = {"T": common_pb2.Terran, "P": common_pb2.Protoss, "Z": common_pb2.Zerg, "R": common_pb2.Random}
_US, _THEM = 1, 2  # owners
_FIELDS = ("x", "y", "health", "shield", "energy", "weapon_cooldown", "facing")
_TYPE_OF_ID = {unit.api_id: UNIT_NAMES.index(name) for name, unit in load_units().items()}
_APPEARANCE_LOOPS = 500
"""Loops to wait for both armies before the game counts as broken."""


@dataclass(frozen=True)
class GameOptions:
    """How patient the engine is.

    launch_timeout: seconds until the game must listen; request_timeout: seconds until a request must be answered;
    launch_attempts: failures in a row, without an episode played to its end, after which the engine gives up.
    """

    launch_timeout: float = 60.0
    request_timeout: float = 60.0
    launch_attempts: int = 4

    def __post_init__(self) -> None:
        for name, least in (("launch_timeout", 1), ("request_timeout", 1), ("launch_attempts", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
                raise SettingError(
                    f'The environment argument "{name}" must be a number of at least {least}, not {value!r}.'
                )


class GameEngine(Engine):
    """`skirmish.engine.Engine`'s contract for one battle in the real game, which is launched by the first `reset`.

    pathing, height, span: the ground as the game tells it, after a launch; launches: how often it was started;
    restarts: how often after a failure; seen_early: life of the enemies in incomplete first observations of the latest
    reset (SMAC counts it into its reward scale).
    Not told: `Units.target` is always -1 and `Units.hits` 0. A game cannot be saved: `snapshot` is empty.
    """

    def __init__(
        self,
        map_spec: MapSpec,
        installation: Installation,
        seed: int,
        difficulty: str = "7",
        options: GameOptions | None = None,
        notify: Callable[[str], None] | None = print,
    ) -> None:
        installation.map_file(map_spec.name)
        self.map_spec, self.installation = map_spec, installation
        self.options = options or GameOptions()
        self.difficulty = DIFFICULTIES.index(difficulty) + 1  # the game numbers them so
        self.n_battles, self.n_agents = 1, map_spec.n_agents
        self.active = np.ones(1, dtype=np.bool_)
        self.units = Units.zeros(1, map_spec.ally_types + map_spec.enemy_types)
        self.pathing, self.height = map_spec.pathing.copy(), map_spec.height
        self.span: tuple[int, ...] = map_spec.pathing.shape
        self.launches = self.restarts = 0
        self.seen_early = 0.0
        self._seed, self._launches_of_seed = seed, 0
        self._notify = notify or (lambda _: None)
        self._client: Client | None = None
        self._failures = 0
        self._columns: dict[int, int] = {}
        self._tags: list[int] = []

    # --- the contract -------------------------------------------------------------------------------------------------

    def seed(self, battle: int, seed: int) -> None:
        """Begin the next episode in a game started anew with this seed."""
        self.close()
        self._seed, self._launches_of_seed = seed, 0

    def reset(self, mask: NDArray[np.bool_]) -> None:
        """Begin a battle, launching the game where none runs.

        What fails is tried again, later and later; EnvironmentDownError after `launch_attempts` failures in a row.
        """
        if self._client is not None:
            self._failures = 0
        while True:
            try:
                self._begin()
                break
            except ClientError as error:
                self._give_up_client(error)
        self.active[:] = True

    def advance(self, orders: Orders, loops: int = STEP_LOOPS) -> None:
        """Give the orders and play; BrokenEpisodeError if the game fails, which ends it."""
        if self._client is None:
            raise BrokenEpisodeError("No game is running: call reset() first.")
        try:
            request = self._request(orders)
            self._client.ask("giving orders", lambda game: game.actions(request))
            self._client.ask("stepping", lambda game: game.step(loops))
            self._read(self._observe())
        except ClientError as error:
            self._give_up_client(error)
            raise BrokenEpisodeError(str(error)) from error

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Nothing: the game cannot be saved."""
        return {}

    def restore(self, snapshot: dict[str, NDArray[Any]]) -> None:
        """Does nothing, as there is nothing to go back to."""

    def close(self) -> None:
        """End the game."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def save_replay(self) -> bytes:
        """The replay file of all battles since the launch; BrokenEpisodeError if there is no game or it fails."""
        if self._client is None:
            raise BrokenEpisodeError("No game is running, so there is nothing to make a replay of.")
        try:
            data: bytes = self._client.ask("saving the replay", lambda game: game.save_replay())
        except ClientError as error:
            self._give_up_client(error)
            raise BrokenEpisodeError(str(error)) from error
        if not data:
            raise BrokenEpisodeError("StarCraft II sent an empty replay.")
        return data

    @property
    def pid(self) -> int | None:
        """Number of the game's process, None if none runs."""
        return self._client.pid if self._client is not None else None

    # --- faults -------------------------------------------------------------------------------------------------------

    def _give_up_client(self, error: ClientError) -> None:
        """End a game that failed; wait before the next one, or raise EnvironmentDownError."""
        if self._client is not None:
            self._client.close(kill=True)
            self._client = None
        self._failures += 1
        self.restarts += 1
        if self._failures >= self.options.launch_attempts:
            raise EnvironmentDownError(
                f"StarCraft II has failed {self._failures} times in a row, so the run ends here. Lately:\n{error}\n"
                "`python3 src/doctor.py` looks for the cause."
            ) from error
        pause = 0 if self._failures == 1 else 2 ** (self._failures - 2)
        self._notify(
            f"{error}\nFailure {self._failures} of {self.options.launch_attempts}; starting it again in {pause} s"
        )
        time.sleep(pause)

    # --- requests -----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._client is None:
            self._launch()
        else:
            living = [tag for tag, column in self._columns.items() if self.units.alive[0, column]]
            kill = debug_pb2.DebugCommand(kill_unit=debug_pb2.DebugKillUnit(tag=living))
            self._client.ask("clearing the field", lambda game: game.debug([kill]))
            self._client.ask("stepping", lambda game: game.step(2))
        self._await_armies()

    def _launch(self) -> None:
        spec, options = self.map_spec, self.options
        self.launches += 1
        self._client = client = Client(self.installation, options.launch_timeout, options.request_timeout)
        create = sc2api_pb2.RequestCreateGame(
            local_map=sc2api_pb2.LocalMap(
                map_path=f"SMAC_Maps/{spec.name}.SC2Map", map_data=self.installation.map_file(spec.name).read_bytes()
            ),
            realtime=False,
            random_seed=self._next_seed(),
        )
        create.player_setup.add(type=sc2api_pb2.Participant)
        create.player_setup.add(type=sc2api_pb2.Computer, race=_RACES[spec.b_race], difficulty=self.difficulty)
        join = sc2api_pb2.RequestJoinGame(
            race=_RACES[spec.a_race], options=sc2api_pb2.InterfaceOptions(raw=True, score=False)
        )
        client.ask("creating the game", lambda game: game.create_game(create))
        client.ask("joining the game", lambda game: game.join_game(join))
        self._read_ground(client.ask("describing the map", lambda game: game.game_info()).start_raw)

    def _next_seed(self) -> int:
        """The seed itself for the first launch; for others, which replace a game that failed, one drawn from it.

        (The official package starts again with the same seed, and so plays the same battles again.)
        """
        launch, self._launches_of_seed = self._launches_of_seed, self._launches_of_seed + 1
        if launch == 0:
            return self._seed & 0x7FFFFFFF
        return int(np.random.SeedSequence([self._seed, launch]).generate_state(1)[0]) & 0x7FFFFFFF

    def _observe(self) -> Any:
        assert self._client is not None
        observed = self._client.ask("observing", lambda game: game.observe())
        if observed.player_result:
            raise ClientError("StarCraft II failed while observing: the game has ended by itself.")
        return observed.observation.raw_data.units

    def _await_armies(self) -> None:
        """Step until all units are listed, then number them as SMAC does."""
        self.seen_early = 0.0
        spec = self.map_spec
        for _ in range(_APPEARANCE_LOOPS):
            listed = self._observe()
            allies = [unit for unit in listed if unit.owner == _US]
            enemies = [unit for unit in listed if unit.owner == _THEM]
            if len(allies) == spec.n_agents and len(enemies) == spec.n_enemies:
                allies.sort(key=lambda unit: (unit.unit_type, unit.pos.x, unit.pos.y))
                self._number(allies, enemies)
                self._read(listed)
                return
            self.seen_early += sum(unit.health_max + unit.shield_max for unit in enemies)
            assert self._client is not None
            self._client.ask("stepping", lambda game: game.step(1))
        raise ClientError(
            f"After {_APPEARANCE_LOOPS} loops StarCraft II shows {len(allies)} and {len(enemies)} units on {spec.name} "
            f"instead of {spec.n_agents} and {spec.n_enemies}."
        )

    def _number(self, allies: list[Any], enemies: list[Any]) -> None:
        """Give every unit its column and fill in what does not change."""
        spec, units = self.map_spec, self.units
        # The allies' types are copies that the map makes, numbered in the order of SMAC's ids.
        ids = [unit.unit_type for unit in allies]
        name_of = dict(zip(sorted(set(ids)), dict.fromkeys(spec.ally_types)))
        if tuple(name_of.get(number) for number in ids) != spec.ally_types:
            raise ClientError(f"StarCraft II shows other allies on {spec.name} than {', '.join(spec.ally_types)}.")
        unknown = sorted({unit.unit_type for unit in enemies} - set(_TYPE_OF_ID))
        if unknown:
            raise ClientError(f"StarCraft II shows enemies on {spec.name} of the unknown types {unknown}.")
        everyone = allies + enemies
        units.type[0] = [UNIT_NAMES.index(name) for name in spec.ally_types] + [
            _TYPE_OF_ID[unit.unit_type] for unit in enemies
        ]
        units.health_max[0] = [unit.health_max for unit in everyone]
        units.shield_max[0] = [unit.shield_max for unit in everyone]
        for name in _FIELDS:
            getattr(units, name)[0] = 0.0
        self._tags = [unit.tag for unit in everyone]
        self._columns = {tag: column for column, tag in enumerate(self._tags)}

    def _read(self, listed: Any) -> None:
        """Fill the arrays; who is not listed is dead."""
        units, columns, rows = self.units, [], []
        for unit in listed:
            column = self._columns.get(unit.tag)
            if column is not None:
                columns.append(column)
                place = unit.pos
                rows.append(
                    (place.x, place.y, unit.health, unit.shield, unit.energy, unit.weapon_cooldown, unit.facing)
                )
        units.alive[0] = False
        units.health[0] = units.shield[0] = 0.0
        if rows:
            block = np.array(rows, dtype=np.float32)
            units.alive[0, columns] = True
            for index, name in enumerate(_FIELDS):
                getattr(units, name)[0, columns] = block[:, index]

    def _request(self, orders: Orders) -> Any:
        """The orders as the game wants them; agents without one are left out."""
        request = sc2api_pb2.RequestAction()
        for agent, kind in enumerate(orders.kind[0].tolist()):
            if kind not in _ABILITIES:
                continue
            command = raw_pb2.ActionRawUnitCommand(
                ability_id=_ABILITIES[kind], unit_tags=(self._tags[agent],), queue_command=False
            )
            if kind == MOVE:
                command.target_world_space_pos.x = orders.x[0, agent]
                command.target_world_space_pos.y = orders.y[0, agent]
            elif kind != STOP:
                command.target_unit_tag = self._tags[orders.target[0, agent]]
            request.actions.add().action_raw.unit_command.CopyFrom(command)
        return request

    def _read_ground(self, start: Any) -> None:
        """Take over where one can walk and how high it is, [x, y]."""
        width, height = start.map_size.x, start.map_size.y
        if (width, height) != self.map_spec.pathing.shape:
            raise ClientError(f"StarCraft II says that {self.map_spec.name} measures {width} x {height} cells.")
        area = start.playable_area
        self.span = (area.p1.x - area.p0.x, area.p1.y - area.p0.y)
        cells = np.frombuffer(start.pathing_grid.data, dtype=np.uint8)
        if start.pathing_grid.bits_per_pixel == 1:
            self.pathing = np.unpackbits(cells)[: width * height].reshape(height, width).T.astype(np.bool_)
        else:  # clients before 4.7 tell what is blocked, upside down
            self.pathing = (cells.reshape(height, width).T[:, ::-1] == 0).copy()
        self.height = np.frombuffer(start.terrain_height.data, dtype=np.uint8).reshape(height, width).T.copy()
