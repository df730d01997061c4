"""Small summaries of runs that can be kept: the curve, the costs and the settings, a run per line of JSON.

What is drawn from a summary equals what is drawn from the runs themselves, as long as the metric is the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.records import COLUMNS, Records
from analysis.study import COST_METRICS, Study, metrics_needed
from utils.errors import UserError

FORMAT = 1
LEFT_OUT = frozenset({"folder", "superseded", "source"})  # of one machine only
COST_POINTS = 50  # a run's clocks are kept at so many steps at most


def write(study: Study, records: Records, path: Path) -> None:
    """Write the runs of a study with the metrics it needs."""
    metrics = _metrics(records, set(study.frame["run_id"]), metrics_needed(study.metric))
    lines = []
    for row in study.frame.to_dict("records"):
        run = {key: _plain(row[key]) for key in COLUMNS if key in row and key not in LEFT_OUT}
        run["metrics"] = metrics[str(row["run_id"])]
        lines.append(json.dumps(run, sort_keys=True))
    head = json.dumps({"format": FORMAT, "metric": study.metric})[:-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head}, "runs": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


def read(paths: Iterable[str | Path]) -> Records:
    """Return the records of one or more summaries.

    Raises:
        UserError: for a file that is none, and for a run that stands twice; its two curves would be read as one.
    """
    runs: list[dict[str, Any]] = []
    frames: list[pd.DataFrame] = []
    for path in map(Path, paths):
        for run in _load(path)["runs"]:
            series = run.pop("metrics")
            run_id = f"{path.stem}:{run['run_id']}"
            runs.append({**dict.fromkeys(COLUMNS), **run, "run_id": run_id, "source": str(path)})
            for name, curve in series.items():
                columns = {"run_id": run_id, "metric": name, "step": curve["steps"], "value": curve["values"]}
                frames.append(pd.DataFrame(columns))
    if not runs:
        raise UserError("The summaries hold no runs.")
    places: dict[str, str] = {}
    for run in runs:
        if run["run_id"] in places:
            where = " and in ".join(dict.fromkeys((places[run["run_id"]], run["source"])))
            raise UserError(f'Run {run["run_id"]} stands twice, in {where}. Leave one out; rename files of equal name.')
        places[run["run_id"]] = run["source"]
    frame = pd.DataFrame(runs, columns=list(COLUMNS))
    for column in ("started", "finished"):
        frame[column] = pd.to_datetime(frame[column], format="ISO8601", errors="coerce")
    metrics = pd.concat(frames, ignore_index=True)
    return Records(frame, metrics, [], sorted(set(metrics["metric"])))


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The summary {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"The summary {path} is no JSON: {error}.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("runs"), list):
        raise UserError(f"{path} is no summary of runs (format {FORMAT}); write one with plot_results.py --summary.")
    return content


def _metrics(records: Records, run_ids: set[str], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return {run_id: {metric: {steps, values}}}, the clocks thinned."""
    names = list(names)
    chosen = records.metrics[records.metrics["run_id"].isin(run_ids) & records.metrics["metric"].isin(names)]
    found: dict[str, dict[str, Any]] = {run_id: {} for run_id in run_ids}
    for (run_id, name), part in chosen.groupby(["run_id", "metric"], sort=True):
        steps, values = part["step"].to_numpy(), part["value"].to_numpy()
        if name in COST_METRICS and len(steps) > COST_POINTS:
            kept = np.unique(np.linspace(0, len(steps) - 1, COST_POINTS).round().astype(int))
            steps, values = steps[kept], values[kept]
        found[run_id][name] = {"steps": steps.tolist(), "values": [round(value, 6) for value in values.tolist()]}
    return found


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: null for what is missing, text for times."""
    if isinstance(value, Mapping | list):
        return value
    if value is None or pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value
