"""The report: one HTML page that needs no other file and no network, with tables and figures beside it.

`write(records, folder)` gives `report.html`, `figures/*.png` and `.pdf`, and the tables as Markdown, LaTeX and CSV.
"""

from __future__ import annotations

import html
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import pictures, plots_published, tables, tables_pairs
from analysis.commands import training_commands, without_password
from analysis.pictures import Picture
from analysis.records import Records
from analysis.study import HEADLINE, Study, gather, metric_name, threshold_name
from analysis.table_format import Table
from analysis.tables_published import published_table
from analysis.variants import differing_keys

STYLE = Path(__file__).with_name("report_style.css")
RUNS_SHOWN = 1_000  # rows of the table of runs; runs.csv has all
PROBLEMS_SHOWN = 30
HEADINGS = {
    "details": "Map by map",
    "steps": "On the way",
    "costs": "Cost",
    "pairs": "Pairs, map by map",
    "improvement": "Pairs, all maps",
    "published": "Published results",
}
LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib")


@dataclass
class Options:
    """What to draw and how: see `study.gather`; `statistic` is of the learning curves, `at` the steps of a table."""

    metric: str = HEADLINE
    statistic: str = "mean"
    algorithms: Sequence[str] | None = None
    maps: Sequence[str] | None = None
    group_by: Sequence[str] = ()
    threshold: float | None = None
    sustained: int = 3
    last: int = 3
    at: Sequence[float] = ()
    published: bool = False
    command: str = field(default_factory=lambda: shlex.join(["python3", *map(without_password, sys.argv)]))

    def study(self, records: Records) -> Study:
        """Return what of the records is compared."""
        return gather(
            records,
            self.metric,
            algorithms=self.algorithms,
            maps=self.maps,
            group_by=self.group_by,
            threshold=self.threshold,
            sustained=self.sustained,
            last=self.last,
        )


def write(records: Records, out: str | Path, options: Options | None = None, *, page: bool = True) -> Path:
    """Write figures, tables and (unless `page` is off) the page into the folder `out`; return the page's path or `out`.

    Raises a UserError where nothing is left to compare.
    """
    options = options or Options()
    return write_study(options.study(records), Path(out), options, page=page)


def write_study(study: Study, out: Path, options: Options, *, page: bool = True) -> Path:
    """Write what `write` writes, of a study already made."""
    out.mkdir(parents=True, exist_ok=True)
    all_tables = make_tables(study, options)
    write_tables(all_tables, tables.per_run(study), out)
    parts = []
    for picture in make_pictures(study, options):
        picture.save(out / "figures")
        if page:
            parts.append((picture.name, picture.title, _figure(picture)))
        picture.close()
    if not page:
        return out
    path = out / "report.html"
    path.write_text(_page(study, options, all_tables, parts), encoding="utf-8")
    return path


def make_tables(study: Study, options: Options) -> list[Table]:
    """Return the tables of a study, the summary first."""
    found: list[Table | None] = [tables.summary(study), tables.details(study), tables.on_the_way(study, options.at)]
    found += [tables.costs(study), tables_pairs.pairs(study), tables_pairs.suite_pairs(study)]
    if options.published:
        found.append(published_table(study))
    return [table for table in found if table is not None]


def make_pictures(study: Study, options: Options) -> Any:
    """Yield the pictures of a study; those of published results last, where asked for."""
    yield from pictures.draw(study, options.statistic)
    if options.published and (figure := plots_published.beside_published(study)) is not None:
        yield Picture("published", "Beside published results", plots_published.CAPTION, figure)


def write_tables(all_tables: Sequence[Table], runs: Table, out: Path) -> None:
    """Write tables.md and tables.tex with all tables, and a CSV file of each."""
    (out / "tables.md").write_text("\n".join(table.markdown() for table in all_tables), encoding="utf-8")
    (out / "tables.tex").write_text("\n".join(table.latex() for table in all_tables), encoding="utf-8")
    for table in [*all_tables, runs]:
        (out / f"{table.name}.csv").write_text(table.csv(), encoding="utf-8")


# --- the page --------------------------------------------------------------------------------------------------------


def _page(study: Study, options: Options, all_tables: Sequence[Table], parts: Sequence[tuple[str, str, str]]) -> str:
    title = f"{_listed(study.algorithms)} on {_listed(study.maps)}"
    summary, *others = all_tables
    sections = [
        ("summary", "Summary", summary.html()),
        ("figures", "Figures", "".join(part for *_, part in parts)),
        *((table.name, _heading(table), table.html()) for table in others),
        ("settings", "Settings that differ", _settings(study)),
        ("runs", "Runs", _runs(study)),
        ("made", "How this page was made", _made(study, options)),
    ]
    links = " ".join(f'<a href="#{name}">{html.escape(heading)}</a>' for name, heading, _ in sections)
    body = "".join(
        f'<section id="{name}"><h2>{html.escape(heading)}</h2>{text}</section>' for name, heading, text in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>\n"
        f"<header><h1>{html.escape(title)}</h1>{_header(study)}{_problems(study)}<nav>{links}</nav></header>\n"
        f"<main>{body}</main></body></html>\n"
    )


def _heading(table: Table) -> str:
    return HEADINGS.get(table.name, table.title)


def _header(study: Study) -> str:
    """Return what was compared: runs, seeds, engine, protocol, budget, dates."""
    frame = study.frame
    rows = [
        ("runs", f"{len(study.runs):,}: {tables.seeds_sentence(study)} {_states(frame)}"),
        ("seeds", _numbers(sorted({run.seed for run in study.runs}))),
        ("battles", _engines(frame)),
        ("tests", _protocol(frame, study)),
        ("budget", _budget(frame)),
        ("played", _dates(frame)),
        ("code", _commits(frame)),
    ]
    items = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in rows if text)
    return f"<dl>{items}</dl>"


def _states(frame: pd.DataFrame) -> str:
    counts = frame["status"].value_counts()
    others = [f"{count} {str(status).lower()}" for status, count in counts.items() if status != "COMPLETED"]
    return f"Not completed: {', '.join(others)}." if others else "All completed."


def _engines(frame: pd.DataFrame) -> str:
    engines = sorted({" ".join(_words(row)) for row in frame[["engine", "engine_version"]].itertuples(index=False)})
    note = " (embedded; not StarCraft II)" if set(frame["engine"]) == {"skirmish"} else ""
    return ", ".join(engines) + note


def _protocol(frame: pd.DataFrame, study: Study) -> str:
    episodes = sorted({int(value) for value in frame["test_nepisode"].dropna()})
    greedy = set(frame["test_greedy"].dropna())
    how = {(True,): "greedy ", (False,): "sampled "}.get(tuple(greedy), "")
    number = " or ".join(map(str, episodes)) or "an unknown number of"
    reached = f"; reached means {threshold_name(study)}" if study.threshold < float("inf") else ""
    return f"{metric_name(study.metric)} of {number} {how}episodes each; steps are those of the whole team{reached}"


def _budget(frame: pd.DataFrame) -> str:
    budgets = sorted({int(value) for value in frame["t_max"].dropna()})
    return f"at most {' or '.join(f'{value:,}' for value in budgets[:6])} environment steps" if budgets else ""


def _dates(frame: pd.DataFrame) -> str:
    started = pd.to_datetime(frame["started"], errors="coerce", utc=True, format="mixed").dropna()
    if started.empty:
        return ""
    first, last = f"{started.min():%Y-%m-%d}", f"{started.max():%Y-%m-%d}"
    hosts = sorted({str(host) for host in frame["host"].dropna()})
    where = f" on {_listed(hosts)}" if hosts else ""
    return (first if first == last else f"{first} to {last}") + where


def _commits(frame: pd.DataFrame) -> str:
    commits = sorted({str(commit) for commit in frame["commit"].dropna()}) if "commit" in frame else []
    changed = " (+: with changes not committed)" if any(commit.endswith("+") for commit in commits) else ""
    return f"commit {_listed(commits)}{changed}" if commits else ""


def _problems(study: Study) -> str:
    if not study.problems:
        return ""
    shown = "".join(f"<li>{html.escape(problem)}</li>" for problem in study.problems[:PROBLEMS_SHOWN])
    more = len(study.problems) - PROBLEMS_SHOWN
    rest = f"<li>and {more:,} more of the kind.</li>" if more > 0 else ""
    return f'<div class="problems"><b>Left out or to be looked at</b><ul>{shown}{rest}</ul></div>'


def _figure(picture: Picture) -> str:
    caption = f"<b>{html.escape(picture.title)}.</b> {html.escape(picture.caption)}"
    return f'<figure id="figure-{picture.name}">{picture.svg()}<figcaption>{caption}</figcaption></figure>\n'


def _settings(study: Study) -> str:
    """Return the configuration keys that are not the same in all runs, with their values."""
    differing = differing_keys(study.frame)
    if not differing:
        return "<p>All runs had the same configuration, apart from algorithm, map and seed.</p>"
    rows = []
    for key, by_group in differing.items():
        values: dict[str, list[str]] = {}
        for group, texts in by_group.items():
            values.setdefault(" or ".join(texts), []).append(group)
        groups = [f"{value} ({_groups(names, study)})" for value, names in values.items()]
        rows.append([key, "; ".join(groups)])
    title = "Keys not named here had one value in all runs"
    return Table("settings", title, ["key", "values"], rows, 1, texts=["values"]).html()


def _groups(names: Sequence[str], study: Study) -> str:
    """Return "amal on 3m" groups in short: the algorithm alone where all its maps are among them."""
    short = []
    rest = set(names)
    for algorithm in study.algorithms:
        own = {f"{algorithm} on {m}" for m in study.maps if study.group(algorithm, m)}
        if own <= rest:
            short.append(algorithm)
            rest -= own
    return ", ".join(short + sorted(rest))


def _runs(study: Study) -> str:
    table = tables.per_run(study, RUNS_SHOWN).html()
    open_ = " open" if len(study.runs) <= 40 else ""
    return f"<details{open_}><summary>{len(study.runs):,} runs</summary>{table}</details>"


def _made(study: Study, options: Options) -> str:
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    sources = _listed(sorted({str(source) for source in study.frame["source"]}))
    commands = training_commands(study)
    trained = ""
    if commands:
        text = html.escape("\n".join(commands))
        trained = (
            "<p>The runs can be played again, with the configuration files as they are now, by</p>"
            f"<pre>{text}</pre>"
        )
    return (
        f"<p>From the records in {html.escape(sources)}, by</p>"
        f"<pre>{html.escape(options.command)}</pre>{trained}"
        f"<p>Python {platform.python_version()}, {html.escape(libraries)}. The bootstrap's random numbers are seeded: "
        "the same records give the same page. Figures as PNG and PDF lie in figures/, the tables as LaTeX, Markdown "
        "and CSV beside this page.</p>"
    )


# --- words -----------------------------------------------------------------------------------------------------------


def _listed(names: Sequence[str], limit: int = 8) -> str:
    """Return "a, b and c", or the first few and how many more."""
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def _numbers(values: Sequence[int]) -> str:
    """Return numbers with runs of consecutive ones in short: 1 to 5, 9."""
    spans: list[list[int]] = []
    for value in values:
        if spans and value == spans[-1][-1] + 1:
            spans[-1].append(value)
        else:
            spans.append([value])
    texts = [str(s[0]) if len(s) == 1 else f"{s[0]}, {s[1]}" if len(s) == 2 else f"{s[0]} to {s[-1]}" for s in spans]
    return _listed(texts, 12)


def _words(row: Sequence[Any]) -> list[str]:
    return [str(value) for value in row if value is not None and not pd.isna(value)]
