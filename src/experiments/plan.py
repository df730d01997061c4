"""The runs that follow from a setting, and the experiment's folder where they are written down."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from configuration import FILE_ENDINGS, ROOT, compose, dotted, load_yaml, overlay, overlay_name, parse_updates
from experiments import sweep
from experiments.setting import Setting
from tracking.database import refuse_credentials
from utils.errors import UserError
from utils.files import write_json, write_text

MAIN = ROOT / "src" / "main.py"
PLAN, SETTING = "plan.json", "setting.yaml"
SCENARIO_KEY = "env_args.map_name"
KEY_LENGTH = 120
SHORTEST_CHECKPOINT_INTERVAL = 200  # environment steps
CHECKPOINTS_PER_RUN = 10  # at least; the algorithm's own interval where that is shorter

# key -> what sets it in an experiment
RESERVED = {
    "seed": "--seed or --seeds",
    SCENARIO_KEY: "--scenario or --scenarios",
    "resume": "the experiment itself",
    "experiment": "--name",
    "experiment_run": "the experiment itself",
}


@dataclass(frozen=True)
class Run:
    """One run: what stands after `with`, and what it is called. `settings` and `point` map dotted keys to values."""

    key: str
    algo: str
    env: str
    scenario: str
    seed: int
    point: dict[str, Any]
    settings: dict[str, Any]
    t_max: int

    @property
    def group(self) -> str:
        """What runs must share to be expected to need the same memory: algorithm and scenario."""
        return f"{self.algo} {self.scenario}"

    def arguments(self, extra: Mapping[str, Any] | None = None) -> list[str]:
        """Return the arguments of `main.py` for this run; `extra` are further settings."""
        base = _base(self.algo, self.env)
        words = [word(base, key, value) for key, value in {**self.settings, **(extra or {})}.items()]
        return [f"--config={self.algo}", f"--env-config={self.env}", "with", *words]

    def command(self) -> str:
        """Return the run's command as one would type it."""
        return shlex.join(["python3", str(MAIN.relative_to(ROOT)), *self.arguments()])


@dataclass(frozen=True)
class Plan:
    """An experiment: its name, its runs in the order in which they start, and where its folder is."""

    name: str
    runs: tuple[Run, ...]
    folder: Path
    setting: Setting

    @property
    def results(self) -> Path:
        """Return the folder of all results, `results/` unless `local_results_path` says otherwise."""
        return self.folder.parent.parent


@cache
def _base(algo: str, env: str) -> dict[str, Any]:
    return compose(algo, env)


def word(base: Mapping[str, Any], key: str, value: Any) -> str:
    """Return `key=value` such that `main.py` reads exactly this value."""
    for text in (str(value), repr(value)):
        candidate = f"{key}={text}"
        try:
            if text and sweep.pick(parse_updates(base, [candidate]), [key])[key] == value:
                return candidate
        except (UserError, KeyError):
            continue
    raise UserError(f"{key}={value!r} cannot be written on a command line.")


# --- from a setting to a plan ----------------------------------------------------------------------------------------


def make(setting: Setting) -> Plan:
    """Return the plan that follows from a setting; everything that can be refused beforehand is refused here."""
    if not setting.algos:
        raise UserError("Which algorithm? Add --algo NAME, or --algos NAME,NAME.")
    if not setting.seeds:
        raise UserError("Which seeds? Add --seed N or --seeds HOW_MANY.")
    for key in (*setting.overrides, *setting.sweep):
        if key in RESERVED:
            raise UserError(f'"{key}" is set by {RESERVED[key]} in an experiment.')
    refuse_credentials(setting.overrides.get("mongo_url", ""))  # they would stand in the plan
    both = sorted(set(setting.overrides) & set(setting.sweep))
    if both:
        raise UserError(f'"{both[0]}" is both swept and set after "--".')
    algos = [overlay_name("algs", algo) for algo in setting.algos]  # for any working directory
    env = overlay_name("envs", setting.env) if setting.env else ""
    setting = Setting(**{**vars(setting), "algos": algos, "env": env})
    configs = {algo: _config(algo, setting) for algo in setting.algos}
    first = next(iter(configs.values()))
    scenarios = _scenarios(setting.scenarios, first)
    axes = [sweep.parse_axis(f"{key}={values}") for key, values in setting.sweep.items()]
    texts = sweep.points(axes, setting.random, setting.random_seed, first)
    runs = tuple(
        _run(algo, configs[algo], scenario, seed, text, setting)
        for seed in setting.seeds
        for scenario in scenarios
        for text in texts
        for algo in setting.algos
    )
    folder = ROOT / str(first["local_results_path"]) / "experiments"
    name = setting.name or _default_name(setting, scenarios, runs)
    chosen = {"scenarios": scenarios if scenarios != [""] else [], "name": name}
    return Plan(name, _with_distinct_keys(runs), folder / name, Setting(**{**vars(setting), **chosen}))


def _config(algo: str, setting: Setting) -> dict[str, Any]:
    """Return an algorithm's configuration with the overrides laid over it, t_max and episodes included."""
    base = compose(algo, setting.env or None)
    config = _laid_over(base, setting.overrides, algo)
    for key, given in (("t_max", setting.t_max), ("max_episodes", setting.episodes)):
        if given and key in (*setting.overrides, *setting.sweep):
            raise UserError(f'{key} is given twice: by its option and as "{key}=...".')
    return config


def _laid_over(base: Mapping[str, Any], texts: Mapping[str, str], algo: str) -> dict[str, Any]:
    try:
        updates = parse_updates(base, [f"{key}={text}" for key, text in texts.items()])
    except UserError as error:
        raise UserError(f"{algo}: {error}") from None
    return overlay(base, updates, algo)


def _scenarios(names: Sequence[str], config: Mapping[str, Any]) -> list[str]:
    """Return the scenarios by name: groups resolved, unknown ones refused; [""] where there are none to choose."""
    if "map_name" not in config["env_args"]:
        if names:
            raise UserError(f'The environment "{config["env"]}" has no scenarios; leave out --scenario.')
        return [""]
    if not names:
        return [str(config["env_args"]["map_name"])]
    if config["env"] != "sc2":  # another environment's maps are its own business
        return list(names)
    from skirmish.maps import MapError, is_map_file, load_map, resolve_maps

    try:
        found = resolve_maps(names)
        for name in found:
            load_map(name)
    except MapError as error:
        raise UserError(str(error)) from None
    return [str(Path(name).resolve()) if is_map_file(name) else name for name in found]


def _run(
    algo: str, config: Mapping[str, Any], scenario: str, seed: int, texts: Mapping[str, str], setting: Setting
) -> Run:
    try:
        point = sweep.typed(texts, config)
    except UserError as error:
        raise UserError(f"{algo}: {error}") from None
    settings: dict[str, Any] = {SCENARIO_KEY: scenario} if scenario else {}
    settings["seed"] = seed
    if setting.t_max:
        settings["t_max"] = setting.t_max
    if setting.episodes:
        settings["max_episodes"] = setting.episodes
        if not setting.t_max:
            settings["t_max"] = _steps_of(setting.episodes, scenario, config)
    given = {key: sweep.pick(config, [key])[key] for key in setting.overrides}
    if "checkpoint_path" in given:  # a run may be continued from another working directory
        given["checkpoint_path"] = str(Path(given["checkpoint_path"]).resolve())
    settings |= {**given, **point}
    t_max = int(settings.get("t_max", config["t_max"]))
    if "checkpoint_interval" not in settings:
        usual = int(config["checkpoint_interval"])
        settings["checkpoint_interval"] = min(usual, max(SHORTEST_CHECKPOINT_INTERVAL, t_max // CHECKPOINTS_PER_RUN))
    env = str(config["env"])
    key = "_".join([short_name(algo), short_name(scenario) or env, *_labels(point), f"seed{seed}"])
    return Run(_file_name(key), algo, setting.env or env, scenario, seed, point, settings, t_max)


def short_name(name: str) -> str:
    """Return what a scenario or an algorithm is called: of a file, its name without its folder and ending."""
    return Path(name).stem if name.endswith(FILE_ENDINGS) else name


def _steps_of(episodes: int, scenario: str, config: Mapping[str, Any]) -> int:
    """Return a t_max that leaves the end of the run to its episodes: as many steps as they can have at most."""
    if config["env"] != "sc2":
        return int(config["t_max"])
    from skirmish.maps import load_map

    return episodes * int(load_map(scenario).limit)


def _labels(point: Mapping[str, Any]) -> list[str]:
    """Return `key=value` for a run's name, without the path in front of the key where that stays unambiguous."""
    leaves = [key.rpartition(".")[2] for key in point]
    return [f"{leaf if leaves.count(leaf) == 1 else key}={value}" for (key, value), leaf in zip(point.items(), leaves)]


def _file_name(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._=+-]+", "-", text).strip("-")
    if len(plain) <= KEY_LENGTH:
        return plain
    return f"{plain[: KEY_LENGTH - 9]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _with_distinct_keys(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs; where two would share a name, each gets a hash of its settings."""
    keys = Counter(run.key for run in runs)
    distinct: list[Run] = []
    for run in runs:
        extra = f"_{_hash([run])}" if keys[run.key] > 1 else ""
        distinct.append(Run(**{**_fields(run), "key": run.key + extra}))
    if len({run.key for run in distinct}) < len(distinct):
        raise UserError("Two runs of this experiment would be the same; look for values that mean the same.")
    return tuple(distinct)


def _fields(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in Run.__dataclass_fields__}


def _hash(runs: Sequence[Run]) -> str:
    content = [(run.algo, run.env, run.settings) for run in runs]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]


def _default_name(setting: Setting, scenarios: Sequence[str], runs: Sequence[Run]) -> str:
    """Return a name that the same request always gets, so that the same command continues."""
    swept = [key.rpartition(".")[2] for key in setting.sweep]
    parts = ["+".join(map(short_name, setting.algos)), "+".join(map(short_name, scenarios))]
    parts += ["sweep", "+".join(swept)] if swept else []
    return f"{_file_name('_'.join(part for part in parts if part))[:60]}_{_hash(runs)}"


# --- on the disk -----------------------------------------------------------------------------------------------------


def run_folder(folder: Path, key: str) -> Path:
    """Return where the state, log and progress of one run are."""
    return folder / "runs" / key


def store(plan: Plan) -> None:
    """Write the plan into its folder: the setting as asked for, and every run."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    write_text(plan.folder / SETTING, plan.setting.to_yaml())
    runs = [{**asdict(run), "command": run.command()} for run in plan.runs]
    write_json(plan.folder / PLAN, {"name": plan.name, "runs": runs})


def load(folder: Path) -> Plan:
    """Read a plan from its folder."""
    from experiments.setting import read

    try:
        content = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        runs = tuple(Run(**{name: run[name] for name in Run.__dataclass_fields__}) for run in content["runs"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder} holds no readable {PLAN}; it is no experiment of this program.") from None
    return Plan(str(content["name"]), runs, folder, read(folder / SETTING))


def require_continuation(plan: Plan) -> bool:
    """Check that the plan goes with what is stored in its folder; return whether it has runs that are not there yet.

    More seeds, scenarios, algorithms or values may be added to an experiment, and a part of it may be asked for by
    itself; a UserError says what is neither, or what would change a run.
    """
    if not (plan.folder / PLAN).exists():
        return True
    stored = {run.key: run for run in load(plan.folder).runs}
    new = {run.key: run for run in plan.runs}
    hint = f"Choose another --name, or continue it with --setting={plan.folder / SETTING}."
    for key in stored.keys() & new.keys():
        different = sorted(_differences(stored[key], new[key]))
        if different:
            settings = ", ".join(different)
            raise UserError(f'The experiment "{plan.name}" was started with other settings: {settings}. {hint}')
    added, left_out = ([key for key in one if key not in other] for one, other in ((new, stored), (stored, new)))
    if added and left_out:
        raise UserError(
            f'The experiment "{plan.name}" has no run "{added[0]}", and this command leaves out its "{left_out[0]}". '
            f"Ask for both to add to it. {hint}"
        )
    return bool(added)


def _differences(old: Run, new: Run) -> Iterator[str]:
    missing = object()
    for key in {**old.settings, **new.settings}:
        before, now = old.settings.get(key, missing), new.settings.get(key, missing)
        if before != now:
            shown = ["(not set)" if value is missing else repr(value) for value in (before, now)]
            yield f"{key} was {shown[0]}, now {shown[1]}"
    if (old.algo, old.env) != (new.algo, new.env):
        yield f"algorithm or environment was {old.algo}/{old.env}, now {new.algo}/{new.env}"


def known_experiments(results: Path) -> list[str]:
    """Return the names of the experiments under a folder of results."""
    return sorted(path.parent.name for path in (results / "experiments").glob(f"*/{PLAN}"))


def default_results() -> Path:
    """Return the folder of results that the defaults name."""
    return ROOT / str(dict(dotted(load_yaml(ROOT / "src" / "config" / "default.yaml")))["local_results_path"])
