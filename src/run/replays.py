"""Replays of evaluated episodes: `save_replay=True evaluate=True`, shown by `replay_to=html`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from utils.errors import UserError


def check(config: Mapping[str, Any]) -> None:
    """Refuse, before anything is played, what cannot be recorded or shown."""
    if config["replay_to"] and not config["save_replay"]:
        raise UserError(f"replay_to={config['replay_to']} shows what save_replay=True records; give both.")
    if config["save_replay"] and not config["evaluate"]:
        raise UserError("save_replay=True records evaluated episodes; give evaluate=True and checkpoint_path=... too.")
    if config["replay_to"]:
        from skirmish.render import check_format

        try:
            check_format(config["replay_to"])
        except (ValueError, ImportError) as error:
            raise UserError(f"replay_to={config['replay_to']}: {error}") from None


def begin(runner: Any, args: SimpleNamespace, folder: Path) -> bool:
    """Let the runner record its next test episodes; False if its environment has no such recording.

    Raises UserError if nothing of the kind can be had of this runner.
    """
    if hasattr(runner, "record_replays"):
        try:
            recording = runner.record_replays(folder, min(args.replay_episodes, args.test_nepisode))
        except NotImplementedError as error:
            raise UserError(f"save_replay=True: {error}") from None
        if recording or hasattr(runner, "save_replay"):
            return bool(recording)
    elif hasattr(runner, "save_replay"):
        return False
    raise UserError(f'save_replay=True: the runner "{type(runner).__name__}" records no replays of this environment.')


def ask_environment(runner: Any) -> None:
    """Let the runner's environment write a replay of its own; whatever cannot says so in a sentence."""
    try:
        runner.save_replay()
    except NotImplementedError as error:
        raise UserError(f"save_replay=True: {str(error) or 'this environment records no replays.'}") from None


def show(folder: Path, replay_to: str) -> list[Path]:
    """The recorded episodes' files; with `replay_to` they are rendered, each beside its replay."""
    from skirmish.render import render

    files = sorted(folder.glob("*.npz"))
    if not replay_to:
        return files or sorted(folder.glob("*.SC2Replay"))
    if not files:
        raise UserError(f"replay_to={replay_to}: only replays of the embedded engine can be shown.")
    for file in files:
        render(file, replay_to, file.with_suffix(f".{replay_to}"))
    return files
