"""Figures, tables and a report of recorded runs.

    python3 src/plot_results.py --exp_dir results/ --report

Needs what requirements-analysis.txt lists. Exit codes: 0 done, 2 a mistake in the request (one sentence).
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import require
from utils.errors import UserError

if TYPE_CHECKING:
    from analysis.records import Records
    from analysis.report import Options

LIBRARIES = ("pandas", "scipy", "matplotlib", "lifelines")
EXAMPLES = """\
examples:
  python3 src/plot_results.py --exp_dir results/ --report
  python3 src/plot_results.py --exp_dir results/sacred --maps 3m,8m --algorithms amal,mappo --out /tmp/figures
  python3 src/plot_results.py --exp_dir results/ --where experiment=first --published --report
  python3 src/plot_results.py --mongo mongodb://localhost:27017/amal --metric test_return_mean
  python3 src/plot_results.py --from-summary results/reference/3m.json --out /tmp/3m
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    title = (__doc__ or "").split("\n")[0]
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(description=title, epilog=EXAMPLES, formatter_class=raw)
    source = made.add_argument_group("which runs")
    source.add_argument("--exp_dir", "--exp-dir", nargs="+", default=[], metavar="DIR", help="folders of runs")
    source.add_argument("--mongo", nargs="+", default=[], metavar="URL", help="databases: mongodb://host:port/name")
    source.add_argument("--from-summary", nargs="+", default=[], metavar="FILE", help="summaries written by --summary")
    source.add_argument("--algorithms", type=_names, metavar="A,B", help="only these")
    source.add_argument("--maps", type=_names, metavar="A,B", help="only these")
    source.add_argument("--where", nargs="+", default=[], metavar="KEY=VALUE", help="only runs that meet these")
    source.add_argument("--group-by", type=_names, default=[], metavar="KEY,KEY", help="keys that tell variants apart")
    what = made.add_argument_group("what to show")
    what.add_argument("--metric", default=None, help="the metric to compare (default: test_battle_won_mean)")
    what.add_argument("--statistic", choices=("mean", "iqm", "median"), default="mean", help="of the learning curves")
    what.add_argument("--threshold", type=float, help="whose steps are counted (default: 0.9 for win rates)")
    what.add_argument("--sustained", type=int, default=3, metavar="N", help="tests in a row that must reach it")
    what.add_argument("--last", type=int, default=3, metavar="N", help="tests a run's final value is the mean of")
    what.add_argument("--at", type=_steps, default=[], metavar="N,N", help="steps at which the tables give values")
    what.add_argument("--published", action="store_true", help="put published results beside ours")
    output = made.add_argument_group("what to write")
    output.add_argument("--out", type=Path, metavar="DIR", help="folder of figures and tables (default: DIR/report)")
    output.add_argument("--report", action="store_true", help="also one HTML page with everything")
    output.add_argument("--summary", type=Path, metavar="FILE", help="also a small JSON file to draw from later")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what the command line asks for; return the exit code."""
    chosen = parser().parse_args(arguments)
    try:
        require(*LIBRARIES)
        _run(chosen, list(sys.argv[1:] if arguments is None else arguments))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _run(chosen: argparse.Namespace, arguments: Sequence[str]) -> None:
    from analysis import report, summaries

    for name in ("sustained", "last"):
        if getattr(chosen, name) < 1:
            raise UserError(f"--{name} is a number of tests, at least 1, not {getattr(chosen, name)}.")
    options = _options(chosen, arguments)
    records = _records(chosen, options.metric)
    out = chosen.out or (Path(chosen.exp_dir[0]) / "report" if chosen.exp_dir else Path("report"))
    study = options.study(records)
    for problem in study.problems:
        print(problem, file=sys.stderr)
    written = report.write_study(study, out, options, page=chosen.report)
    if chosen.summary:
        summaries.write(study, records, chosen.summary)
        print(f"Summary of {len(study.runs):,} runs: {chosen.summary}")
    print((out / "tables.md").read_text(encoding="utf-8").partition("\n\n**")[0])
    print(f"\n{'Report' if chosen.report else 'Figures and tables'}: {written}")


def _options(chosen: argparse.Namespace, arguments: Sequence[str]) -> Options:
    from analysis.commands import without_password
    from analysis.report import Options
    from analysis.study import HEADLINE

    metric = chosen.metric
    if metric is None:
        metric = _summary_metric(chosen.from_summary[0]) if chosen.from_summary else HEADLINE
    return Options(
        metric=metric,
        statistic=chosen.statistic,
        algorithms=chosen.algorithms,
        maps=chosen.maps,
        group_by=chosen.group_by,
        threshold=chosen.threshold,
        sustained=chosen.sustained,
        last=chosen.last,
        at=chosen.at,
        published=chosen.published,
        command=shlex.join(["python3", "src/plot_results.py", *map(without_password, arguments)]),
    )


def _records(chosen: argparse.Namespace, metric: str) -> Records:
    from analysis import study, summaries

    sources = [*chosen.exp_dir, *chosen.mongo]
    if chosen.from_summary:
        if sources:
            raise UserError("Give either --from-summary or runs (--exp_dir, --mongo), not both.")
        return summaries.read(chosen.from_summary)
    if not sources:
        raise UserError("Which runs? Give --exp_dir results/, --mongo mongodb://host/name or --from-summary FILE.")
    return study.load(sources, metric, chosen.where or None)


def _summary_metric(path: str) -> str:
    """Return the metric a summary was written for; what is wrong with the file is told when it is read."""
    from analysis.study import HEADLINE

    try:
        return str(json.loads(Path(path).read_text(encoding="utf-8"))["metric"])
    except (OSError, ValueError, KeyError, TypeError):
        return HEADLINE


def _steps(text: str) -> list[float]:
    """Return numbers of steps, "5000,20k,1M" as well."""
    units = {"k": 1e3, "m": 1e6}
    return [float(name.rstrip("kKmM")) * units.get(name[-1].lower(), 1.0) for name in _names(text)]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
