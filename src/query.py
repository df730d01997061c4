"""Find recorded runs, in folders and in MongoDB, and print them as a table, CSV or JSON.

    python3 src/query.py                                          every run below results/
    python3 src/query.py env_args.map_name=3m 'lr>0.0005' 'test_battle_won_mean>=0.9'
    python3 src/query.py results/sacred/3m --sort=-test_battle_won_mean --columns=run_id,seed,lr,test_battle_won_mean
    python3 src/query.py mongodb://localhost:27017/sacred status=COMPLETED 'started>=2026-11-01' --show-query
    python3 src/query.py --curves=test_battle_won_mean name=mappo --format=csv
    python3 src/query.py --sync results --to mongodb://localhost:27017/sacred

Conditions are NAME OPERATOR VALUE with = != > >= < <= or ~ (a regular expression), where NAME is a column, a key of
the configuration or a metric: its last value, or max(NAME), min(NAME). Quote those that hold < or >.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import require
from analysis.filters import REDUCTIONS, parse
from configuration import ROOT
from tracking import database as access
from utils.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from analysis.records import Records

HEADLINE = "test_battle_won_mean"
COLUMNS = ("run_id", "algorithm", "map", "seed", "status", "t_env", "started", "wall_s")
_REDUCED = re.compile(rf"^({'|'.join(REDUCTIONS)})\((.+)\)$")


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; return its exit code: 0 done, 2 a mistake in the request."""
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    try:
        options = _parser().parse_args(arguments)
        if options.sync:
            return _sync(options.sync, options.to)
        sources, conditions = _sources_and_conditions(options.what)
        if options.show_query or options.make_indexes:
            _ask_database(sources, conditions, options)
            if options.make_indexes:
                return 0
        require("pandas")
        return _query(sources, conditions, options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has left
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="query.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="SOURCE or CONDITION",
        help="folders, mongodb:// addresses (the word"
        " mongodb: that of AMAL_MONGO_URL; default: results), and conditions, all of which must hold",
    )
    parser.add_argument("--columns", help="comma-separated: columns, configuration keys, metrics, max(METRIC)")
    parser.add_argument("--sort", help="a column; with a minus sign in front, largest first")
    parser.add_argument("--limit", type=int, help="at most so many runs")
    parser.add_argument("--curves", metavar="METRIC[,METRIC]", help="print the values of metrics, one per row")
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    parser.add_argument("--all", action="store_true", help="evaluations and the earlier parts of resumed runs too")
    parser.add_argument("--no-index", action="store_true", help="read every run anew and write no index")
    parser.add_argument("--show-query", action="store_true", help="print what MongoDB is asked, for use with pymongo")
    parser.add_argument(
        "--make-indexes", action="store_true", help="create the indexes that make MongoDB fast, and end"
    )
    parser.add_argument("--sync", metavar="FOLDER", help="write the runs in or below a folder into a MongoDB, and end")
    parser.add_argument(
        "--to", metavar="mongodb://HOST:PORT/NAME", default=access.ENVIRONMENT, help="where --sync writes"
    )
    return parser


def _sources_and_conditions(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell sources from conditions: what has an operator and is neither an address nor a folder is a condition."""
    sources: list[str] = []
    conditions: list[str] = []
    for word in words:
        is_condition = not access.is_url(word) and not Path(word).is_dir() and re.search(r"[=<>~]", word)
        (conditions if is_condition else sources).append(word)
    return sources or [str(ROOT / "results")], conditions


def _ask_database(sources: Sequence[str], conditions: Sequence[str], options: argparse.Namespace) -> None:
    """Print the query that each database among the sources is asked, or make its indexes."""
    require("pymongo")
    from analysis.mongo_query import make_indexes, translate
    from analysis.run_mongo import RunDatabase

    databases = [RunDatabase(source) for source in sources if access.is_url(source)]
    if not databases:
        option = "--make-indexes" if options.make_indexes else "--show-query"
        raise UserError(f"{option} needs a database among the sources, such as mongodb://localhost:27017/sacred.")
    for database in databases:
        if options.show_query:
            text = translate([parse(text) for text in conditions], database.database).text()
            print(f"# {database.shown}\n{text}", file=sys.stderr)
        if options.make_indexes:
            print("\n".join(make_indexes(database.database)))


def _query(sources: list[str], conditions: list[str], options: argparse.Namespace) -> int:
    from analysis.records import load

    curves = _names(options.curves)
    wanted = _names(options.columns)
    needed = {_metric(name) for name in [*wanted, *_names((options.sort or "").lstrip("-"))]}
    needed |= {HEADLINE, *(parse(text).key for text in conditions)} if not wanted else set()
    needed = set(curves) or needed
    records = load(
        sources,
        index=not options.no_index,
        filters=conditions,
        metrics=lambda known: [name for name in known if name in needed],
        everything=True,
    )
    runs = records.runs
    if not options.all:
        resumed = runs["superseded"].str.startswith(("resumed", "an evaluation"), na=False)
        runs = runs[~resumed]
    if curves:
        unknown = [name for name in curves if name not in records.metric_names]
        if unknown:
            raise UserError(f'No run has a metric "{unknown[0]}".{nearest(unknown[0], records.metric_names)}')
        frame = records.metrics[records.metrics["metric"].isin(curves) & records.metrics["run_id"].isin(runs["run_id"])]
    else:
        if not wanted:
            extra = [parse(text).key for text in conditions]
            headline = [HEADLINE] if HEADLINE in records.metric_names else []
            wanted = list(dict.fromkeys([*COLUMNS, *headline, *(key for key in extra if key not in COLUMNS)]))
        frame = _table(runs, records, wanted, options.sort)
    if options.limit is not None:
        frame = frame.head(options.limit)
    _print(frame, options.format)
    for problem in records.problems:
        print(f"note: {problem}", file=sys.stderr)
    if options.format == "table":
        print(f"{len(runs):,} runs" if len(runs) != 1 else "1 run", file=sys.stderr)
    return 0


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _metric(name: str) -> str:
    """Return the metric that a column such as `max(return_mean)` is of."""
    reduced = _REDUCED.match(name)
    return reduced[2] if reduced else name


def _table(runs: pd.DataFrame, records: Records, columns: Sequence[str], sort: str | None) -> pd.DataFrame:
    """Return the runs with these columns, sorted."""
    import pandas as pd

    key = sort.lstrip("-") if sort else None
    frame = pd.DataFrame(
        {name: _column(runs, records, name) for name in dict.fromkeys([*columns, *([key] if key else [])])},
        index=runs.index,
    )
    if sort and key:
        frame = frame.sort_values(key, ascending=not sort.startswith("-"), kind="stable", na_position="last")
    return frame[list(dict.fromkeys(columns))]


def _column(runs: pd.DataFrame, records: Records, name: str) -> Any:
    """Return one column's values: a column of the frame, a configuration key, or a metric's last, max or min."""
    from analysis.filters import has_key, unknown_key, value_of
    from configuration import dotted

    if name in runs.columns and name != "config":
        return runs[name]
    if any(has_key(config, name) for config in runs["config"]):
        return [value_of(config, name) for config in runs["config"]]
    metric = _metric(name)
    if metric in records.metric_names:
        how = name.partition("(")[0] if name != metric else "last"
        chosen = records.metrics[records.metrics["metric"] == metric].groupby("run_id", sort=False)["value"].agg(how)
        return runs["run_id"].map(chosen)
    if not len(runs):
        return []
    keys = {key for config in runs["config"] for key, _ in dotted(config)}
    raise unknown_key(name, {*runs.columns, *keys, *records.metric_names}, "column, configuration key or metric")


def _print(frame: pd.DataFrame, how: str) -> None:
    if how == "csv":
        frame.to_csv(sys.stdout, index=False)
    elif how == "json":
        rows = json.loads(frame.to_json(orient="records", date_format="iso", default_handler=str))
        print(json.dumps(rows, indent=2))
    else:
        _print_table(frame)


def _print_table(frame: pd.DataFrame) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in frame.columns:
        numeric = frame[name].dtype.kind in "iuf" or str(frame[name].dtype) == "Int64"
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(name, value) for name, value in zip(frame.columns, row)))
    console = Console()
    if not console.is_terminal:  # into a file or a pipe: as wide as it needs to be
        console = Console(width=Console(width=10_000).measure(table).maximum)
    console.print(table)


def _cell(name: str, value: Any) -> str:
    import pandas as pd

    if not isinstance(value, list | dict) and pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        whole = name == "wall_s" or (value == int(value) and abs(value) >= 10)
        return f"{value:,.0f}" if whole else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and name in ("t_max", "t_env") else str(value)


def _sync(folder: str, to: str) -> int:
    """Write every run in or below `folder` into the database `to`, or what is missing there of it."""
    require("pymongo")
    from pymongo.errors import PyMongoError

    from analysis import run_folders
    from analysis.mongo_query import make_indexes
    from analysis.run_mongo import RunDatabase
    from tracking.sync import MARKER, Unreadable, is_running, sync_run

    root = Path(folder)
    if not root.is_dir():
        raise UserError(f'There is no folder "{folder}".')
    database = RunDatabase(to)
    make_indexes(database.database)
    runs = added = 0
    for key, stamp in run_folders.find(root):
        path = root / key
        if not stamp or is_running(path):
            why = "is running and looks after itself" if stamp else "is empty"
            print(f"note: {path} {why}", file=sys.stderr)
            continue
        try:
            added += sync_run(database.database, path)
        except Unreadable as error:
            print(f"note: {error}; the run is left out", file=sys.stderr)
            continue
        except PyMongoError as error:
            raise UserError(f"MongoDB at {database.shown} stopped answering: {access.explain(error)}.") from None
        (path / MARKER).unlink(missing_ok=True)
        runs += 1
    print(f"{runs:,} {'run' if runs == 1 else 'runs'}, {added:,} new values: {database.shown} has them all")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
