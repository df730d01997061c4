"""A run in Weights & Biases, for those who ask for it: offline unless told otherwise, and never fatal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configuration import dotted


class WeightsAndBiases:
    """Copies metrics into one W&B run. Whatever goes wrong is one warning, after which it does nothing more.

    `config` holds wandb_project, wandb_team and wandb_mode (offline | online | disabled); files go to `folder`/wandb.
    """

    def __init__(self, config: Mapping[str, Any], folder: Path, token: str, console: logging.Logger) -> None:
        self._console = console
        self._run: Any = None
        self._step = 0
        self._row: dict[str, float] = {}
        try:
            import wandb

            folder.mkdir(parents=True, exist_ok=True)
            self._run = wandb.init(
                project=config["wandb_project"],
                entity=config["wandb_team"] or None,
                mode=config["wandb_mode"],
                dir=str(folder),
                name=token,
                group=f"{config['name']} {config['env_args'].get('map_name', config['env'])}",
                config={key: value for key, value in dotted(config) if not isinstance(value, Mapping)},
                settings=wandb.Settings(init_timeout=30, console="off", silent=True),
            )
            self._run.define_metric("t_env")
            self._run.define_metric("*", step_metric="t_env")
        except ImportError:
            self._give_up("the package wandb is not installed: python3 -m pip install wandb")
        except (Exception, SystemExit) as error:  # wandb's own errors are of many kinds, and none may end a run
            self._give_up(str(error).split("\n")[0] or type(error).__name__)

    def scalar(self, name: str, value: float, step: int) -> None:
        """Write one value of a metric; those of the same step go out together."""
        if step != self._step or name in self._row:
            self._send()
        self._step = step
        self._row[name] = value

    def close(self) -> None:
        """Send what is left and end the W&B run."""
        self._send()
        if self._run is not None:
            try:
                self._run.finish()
            except Exception as error:
                self._give_up(str(error).split("\n")[0])

    def _send(self) -> None:
        row, self._row = self._row, {}
        if row and self._run is not None:
            try:
                self._run.log({**row, "t_env": self._step})
            except Exception as error:
                self._give_up(str(error).split("\n")[0])

    def _give_up(self, reason: str) -> None:
        self._run = None
        self._console.warning(f"Weights & Biases gets nothing of this run ({reason}); all else goes on")
