"""One sacred run: prepares the configuration, sets up the records, trains or evaluates, and sums up."""

from __future__ import annotations

import copy
import datetime
import json
import secrets
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from configuration import ROOT
from run import actor_file, assembly, checkpoints, evaluation, replays
from run.interrupt import Interrupted
from run.training import HEADLINE, Label, Trainer
from tracking import database
from tracking.observers import RunFolder
from tracking.progress import ProgressFile
from tracking.tensorboard import TensorBoard
from tracking.weights_and_biases import WeightsAndBiases
from utils.allocator import keep_freed_memory
from utils.errors import UserError
from utils.logging import Logger, get_logger
from utils.seeding import seed_everything


@dataclass(frozen=True)
class Places:
    """Where a run writes; `run` is None for an unobserved run, `tensorboard` unless asked for."""

    run: Path | None
    models: Path
    tensorboard: Path | None


def results_folder(config: Mapping[str, Any]) -> Path:
    """Return where results go: `local_results_path`, taken from the project's folder unless it is absolute."""
    return ROOT / str(config["local_results_path"])


def map_name(config: Mapping[str, Any]) -> str:
    """Return the name of what is played, for paths: the map (of a map file its stem), else the environment."""
    name = str(config["env_args"].get("map_name") or config["env_args"].get("key") or config["env"])
    return Path(name).stem if name.endswith((".yaml", ".yml")) else name


def sacred_folder(config: Mapping[str, Any]) -> Path:
    """Return the folder under which sacred numbers the runs of this map and algorithm."""
    return results_folder(config) / "sacred" / map_name(config) / str(config["name"])


def run_token(config: Mapping[str, Any]) -> str:
    """Return a new name for a run, unlike that of any other: its models, its logs and its copies carry it."""
    stamp = f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(3)}"
    return f"{config['name']}_seed{config['seed']}_{map_name(config)}_{stamp}"


def progress_file(config: Mapping[str, Any], places: Places) -> ProgressFile | None:
    """Return the file in which a run of an experiment tells `run_experiment.py` how far it is; None for other runs."""
    if not config["experiment_run"]:
        return None
    folder = results_folder(config) / "experiments" / config["experiment"] / "runs" / config["experiment_run"]
    return ProgressFile(folder / "progress.json", run=str(places.run), models=str(places.models))


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """Check what only the parts themselves know, fix the seed, and find the checkpoint to resume from.

    Everything that can be refused is refused here, before a run is recorded.
    """
    database.refuse_credentials(config["mongo_url"])
    config = assembly.check(copy.deepcopy(config))
    assembly.resolve_device(config["device"], config["use_cuda"])
    replays.check(config)
    check_models(config)
    if config["resume"]:
        found = checkpoints.find(config["resume"], results_folder(config) / "models", config)
        config["resume"] = str(found) if found else ""
        if found:
            config["seed"] = checkpoints.require_same(found, config)
        else:
            get_logger().info("resume=auto: no checkpoint of this configuration yet, so this is its first run")
    if config["seed"] is None:
        config["seed"] = secrets.randbelow(2**31)
    config["env_args"]["seed"] = config["seed"]
    return config


def check_models(config: Mapping[str, Any]) -> None:
    """Refuse, before anything is played, models and actors that cannot be loaded or written."""
    if config["evaluate"] and not (config["checkpoint_path"] or config["load_actor"]):
        raise UserError(
            "evaluate=True needs checkpoint_path=results/models/<token>, the folder of the models to play, "
            "or load_actor=FILE."
        )
    if config["checkpoint_path"] and config["load_actor"]:
        raise UserError("checkpoint_path and load_actor both say what to start from; give one of them.")
    if config["checkpoint_path"]:
        evaluation.find_models(config["checkpoint_path"], config["load_step"])
    if config["load_actor"]:
        actor_file.require_same_keys(config["load_actor"], config)
    if config["save_actor"]:
        if config["experiment_run"]:
            raise UserError("save_actor names one file, which all runs of an experiment would write.")
        actor_file.require_writable(config["save_actor"])


def run(sacred_run: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Train or evaluate as `config` says; return the summary. Raises Interrupted after an orderly Ctrl-C."""
    args = SimpleNamespace(**copy.deepcopy(dict(config)))
    args.device = assembly.resolve_device(args.device, args.use_cuda)
    args.use_cuda = args.device != "cpu"
    args.unique_token = sacred_run.meta_info.get("token") or run_token(config)
    torch.set_num_threads(args.torch_threads)
    seed_everything(args.seed)
    console = get_logger()
    engine = " ".join(str(value) for key, value in args.engine_info.items() if key != "map_checksum")
    console.info(
        f"{args.name} on {map_name(config)}{f' ({engine})' if engine else ''}, seed {args.seed}, device {args.device}"
    )

    results = results_folder(config)
    places = Places(
        run=next((Path(str(o.dir)) for o in sacred_run.observers if isinstance(o, RunFolder)), None),
        models=results / "models" / args.unique_token,
        tensorboard=results / "tb_logs" / args.unique_token if args.use_tensorboard else None,
    )
    progress = progress_file(config, places)
    if progress is not None:
        progress.write(0, args.t_max, None, 0.0)
    logger = Logger(console)
    logger.setup_sacred(sacred_run)
    if places.tensorboard:
        logger.add_copy(TensorBoard(places.tensorboard, config))
    if args.use_wandb:
        logger.add_copy(WeightsAndBiases(config, results, args.unique_token, console))
    parts = assembly.build(args, logger, places.models / "buffer")
    try:
        if args.checkpoint_path:
            console.info(f"Models loaded from {evaluation.load_models(parts, args)}")
        if args.evaluate:
            return _evaluate(parts, args, places, config)
        return _train(sacred_run, parts, args, places, config, progress)
    finally:
        parts.runner.close_env()
        logger.close()


def _evaluate(
    parts: assembly.Parts, args: SimpleNamespace, places: Places, config: Mapping[str, Any]
) -> dict[str, Any]:
    console = parts.logger.console_logger
    folder = places.run or (Path(args.checkpoint_path) if args.checkpoint_path else Path(args.load_actor).parent)
    summary = evaluation.evaluate(parts, args, folder / "evaluation.csv")
    summary["actor"] = _save_actor(parts, args, config)
    if args.save_replay:
        summary["replays"] = [str(path) for path in replays.show(folder / "replays", args.replay_to)]
    for label, key, scale, unit in (("win rate", "win_rate", 100, " %"), ("return", "return", 1, "")):
        if key in summary:
            mean, low, high = (scale * summary[key][part] for part in ("mean", "low", "high"))
            interval = f"95 % interval {low:.1f} to {high:.1f}{unit}"
            console.info(f"{summary['episodes']} episodes: {label} {mean:.1f}{unit} ({interval})")
    console.info(f"One row per episode: {_shown(Path(summary['csv']))}")
    if summary["actor"]:
        console.info(f"Actor: {_shown(Path(summary['actor']))}")
    if summary.get("replays"):
        console.info(f"{len(summary['replays'])} replays: {_shown(folder / 'replays')}")
    _write_summary(places.run, summary)
    return summary


def _train(
    sacred_run: Any,
    parts: assembly.Parts,
    args: SimpleNamespace,
    places: Places,
    config: Mapping[str, Any],
    progress: ProgressFile | None,
) -> dict[str, Any]:
    models, run_folder = places.models, places.run
    identity = checkpoints.configuration_hash(config)
    label = Label(args.name, map_name(config), args.seed, identity, str(run_folder or ""), dict(config))
    trainer = Trainer(parts, args, models, label, progress)
    console = parts.logger.console_logger
    if args.resume:
        predecessor = _resume(trainer, Path(args.resume))
        sacred_run.info["resumed_from"] = {"checkpoint": args.resume, "run": predecessor}
        console.info(f"Resumed from {_shown(Path(args.resume))} at step {trainer.t_env:,}")
    keep_freed_memory()  # from here on: what a checkpoint was read into goes back to the system
    reason = trainer.run()
    logger = parts.logger
    summary: dict[str, Any] = {
        "name": args.name,
        "map": map_name(config),
        "seed": args.seed,
        "engine_info": args.engine_info,
        "ended_by": reason,
        "t_env": trainer.t_env,
        "episodes": trainer.episode,
        HEADLINE: logger.last(HEADLINE),
        "test_return_mean": logger.last("test_return_mean"),
        **{key: value if "seconds" in key else int(value) for key, value in trainer.milestones.reached.items()},
        **trainer.resources.summary(),
        "models": str(models),
        "run": str(run_folder) if run_folder else None,
        "tensorboard": str(places.tensorboard) if places.tensorboard else None,
        "actor": _save_actor(parts, args, config),
    }
    _write_summary(run_folder, summary)
    sacred_run.info["summary"] = summary  # for a database, which has no summary.json
    console.info(_closing_words(summary))
    if reason == "interrupted":
        raise Interrupted
    return summary


def _resume(trainer: Trainer, checkpoint: Path) -> str:
    """Go on from a checkpoint; return the folder of the run that wrote it."""
    trainer.require_resumable()
    state = checkpoints.load(checkpoint)
    trainer.load_state_dict(state)
    return str(state["label"]["run_directory"])


def _save_actor(parts: assembly.Parts, args: SimpleNamespace, config: Mapping[str, Any]) -> str | None:
    """Write the team into the file that `save_actor` names, if it names one; return the path."""
    if not args.save_actor:
        return None
    with getattr(parts.learner, "testing", nullcontext)():
        return str(actor_file.write(args.save_actor, parts.mac, config, args.env_info, parts.runner.t_env))


def _closing_words(summary: Mapping[str, Any]) -> str:
    """Return what a run prints last: how it ended, what it reached, where everything is."""
    rows = [("ended by", summary["ended_by"])]
    for key, name in ((HEADLINE, "test win rate"), ("test_return_mean", "test return")):
        if summary[key] is not None:
            rows.append((name, f"{100 * summary[key]:.1f} %" if key == HEADLINE else f"{summary[key]:.2f}"))
    rows.append(("played", f"{summary['t_env']:,} environment steps, {summary['episodes']:,} episodes"))
    for label, name in (("90", "90 % first reached"), ("sustained_90", "90 % sustained")):
        if f"steps_to_{label}" in summary:
            steps, seconds = summary[f"steps_to_{label}"], summary[f"seconds_to_{label}"]
            rows.append((name, f"at {steps:,.0f} steps, after {seconds:.0f} s"))
    cost = f"{summary['wall_seconds']:.0f} s, {summary['cpu_seconds']:.0f} CPU-seconds"
    rows.append(("cost", f"{cost}, {summary['peak_memory_mib']:.0f} MiB at most"))
    rows += [(key, _shown(Path(summary[key]))) for key in ("run", "models", "actor", "tensorboard") if summary[key]]
    head = "Done."
    if summary["ended_by"] == "interrupted":
        head = "Stopped."
        rows.append(("to continue", "the same command with resume=auto"))
    return "\n".join([head, *(f"  {name + ':':<20}{text}" for name, text in rows)])


def _write_summary(folder: Path | None, summary: Mapping[str, Any]) -> None:
    if folder is not None:
        (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _shown(path: Path) -> str:
    """Return a path as the user would type it: relative to the project where it lies in it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
