"""A run in TensorBoard: scalars under the names of the records, its configuration as hparams, win rates on one board.

All runs are folders of one `results/tb_logs`, so `tensorboard --logdir results/tb_logs` compares them as it is: the
hparams table sorts them by configuration and by win rate, and the custom board shows win rates side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configuration import dotted
from run.identity import FREE_KEYS

# title -> chart -> metrics, in the order of the page
BOARD = {
    "Win rate": {
        "tests (greedy)": ["test_battle_won_mean"],
        "training": ["battle_won_mean"],
        "tests and training": ["test_battle_won_mean", "battle_won_mean"],
    },
    "Return": {"tests (greedy)": ["test_return_mean"], "training": ["return_mean"]},
}
# Shown first among the hparams; of the other free keys none makes a difference to learning
_FIRST = ("name", "env_args.map_name", "seed", "t_max")


class TensorBoard:
    """Writes one run into `folder`; `config` becomes its hparams, if given."""

    def __init__(self, folder: Path, config: Mapping[str, Any] | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter  # 0.2 s that runs without TensorBoard save

        folder.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(folder))
        self._has_hparams = config is not None
        self._writer.add_custom_scalars(
            {board: {chart: ["Multiline", names] for chart, names in charts.items()} for board, charts in BOARD.items()}
        )
        if config is not None:
            self._write_summaries(hyperparameters(config), start=True)

    def scalar(self, name: str, value: float, step: int) -> None:
        """Write one value of a metric."""
        self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Mark the run as ended and flush everything."""
        if self._has_hparams:
            self._write_summaries({}, start=False)
        self._writer.close()

    def _write_summaries(self, values: Mapping[str, Any], start: bool) -> None:
        """Write the start or the end of a session of the hparams plugin.

        torch also makes a description of the whole experiment, which is left out: TensorBoard would take that of one
        run for all, and hide the keys which only other algorithms have.
        """
        from torch.utils.tensorboard.summary import hparams

        _, begin, end = hparams(dict(values), {})
        file = self._writer.file_writer
        if file is not None:
            file.add_summary(begin if start else end)


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the hparams table shows of a configuration: algorithm, map, seed, and every key that matters."""
    keys = dict(dotted(config))
    first = {key: keys[key] for key in _FIRST if key in keys}
    hidden = {*FREE_KEYS, "plugins", "env_args.seed"}
    rest = {key: value for key, value in sorted(keys.items()) if key not in hidden and key not in first}
    shown = {key: str(value) if isinstance(value, list) else value for key, value in {**first, **rest}.items()}
    return {key: value for key, value in shown.items() if isinstance(value, bool | int | float | str)}
