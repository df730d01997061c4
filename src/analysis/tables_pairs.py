"""Tables of pairs of algorithms: tests map by map, and the probability of improvement over all maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis import statistics, thresholds
from analysis.pairs import improvements
from analysis.study import Run, Study, threshold_name
from analysis.table_format import Table
from analysis.tables import DASH, value_text

PAIRS_SHOWN = 100


def pairs(study: Study) -> Table | None:
    """Return every pair of algorithms on every map: difference, effect size, tests with Holm's correction, steps.

    None with a single algorithm; over many maps and algorithms only the first rows, with a note.
    """
    finals = {a: study.finals(a) for a in study.algorithms}
    frame = statistics.compare_all(finals)
    if frame.empty:
        return None
    timed = bool(np.isfinite(study.threshold))
    rows = []
    for row in frame.head(PAIRS_SHOWN).itertuples():
        first, second = study.group(row.a, row.task), study.group(row.b, row.task)
        cells = [row.task, f"{row.a} - {row.b}", value_text(study, row.difference, sign=True), _decimal(row.cohens_d)]
        cells += [_p(row.welch_p), _p(row.welch_holm), _p(row.mann_whitney_p), _p(row.mann_whitney_holm)]
        rows.append(cells + (_steps_cells(first, second) if timed else []))
    unit = ", points" if study.is_share else ""
    columns = ["map", "pair", f"difference{unit}", "Cohen's d", "Welch p", "Holm", "Mann-Whitney p", "Holm"]
    notes = [
        "Final values of the runs. Holm: the p-value corrected for the number of rows "
        f"({len(frame):,}). {DASH}: not defined, as with one seed or without any spread."
    ]
    if timed:
        columns += ["ratio of steps [95 %]", "log-rank p"]
        notes.append(
            f"Ratio of steps: median (Kaplan-Meier) of the first over that of the second to {threshold_name(study)}; "
            "below 1 the first is faster; a question mark: these runs set no bound. Log-rank: test of "
            "whether one gets there faster."
        )
    if len(frame) > PAIRS_SHOWN:
        notes.append(f"The first {PAIRS_SHOWN} of {len(frame):,} rows.")
    return Table("pairs", "Pairs of algorithms, map by map", columns, rows, 2, [], notes)


def suite_pairs(study: Study) -> Table | None:
    """Return the probability of improvement of every pair over the maps both were run on; None with one algorithm."""
    frame = improvements(study)
    if frame.empty:
        return None
    rows = []
    for row in frame.itertuples():
        text = f"{100 * row.probability:.0f} %"
        if row.low is not None and np.isfinite(row.low):
            text += f" [{100 * row.low:.0f}, {100 * row.high:.0f}]"
        rows.append([f"{row.a} > {row.b}", str(row.tasks), str(row.runs), text, _p(row.p), _p(row.p_holm)])
    columns = ["pair", "maps", "seeds", "probability [95 %]", "permutation p", "Holm"]
    notes = [
        "Probability that a run of the first has a higher final value than a run of the second on the same map, ties "
        "counting half. p: labels permuted within each map; Holm: corrected for the number of rows. Seeds: of the "
        "smallest group."
    ]
    title = "Pairs of algorithms over all maps: probability of improvement"
    return Table("improvement", title, columns, rows, 1, [], notes)


def _decimal(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else DASH


def _p(value: float) -> str:
    if not np.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _steps_cells(first: Sequence[Run], second: Sequence[Run]) -> list[str]:
    """Return the ratio of the median steps with its interval, and the log-rank p-value."""
    a, b = [run.reach for run in first], [run.reach for run in second]
    p = _p(thresholds.log_rank(a, b)) if min(len(a), len(b)) > 1 else DASH
    ratio = thresholds.ratio_of_steps(a, b)
    if ratio.value is None:
        return [DASH, p]
    if ratio.low is None or ratio.high is None:
        return [f"{ratio.value:.2f}", p]
    low = f"{ratio.low:.2f}" if ratio.low > 0 else "?"
    high = f"{ratio.high:.2f}" if np.isfinite(ratio.high) else "?"
    return [f"{ratio.value:.2f} [{low}, {high}]", p]
