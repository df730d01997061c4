"""What came out: the table of results, the report, the profile. Needs the libraries of the analysis, but for the last.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from experiments import profiling
from experiments.board import PIPE_WIDTH
from experiments.plan import ROOT, Plan, run_folder
from utils.errors import UserError
from utils.files import write_text

LIBRARIES = ("pandas", "scipy", "lifelines")
REPORT_LIBRARIES = (*LIBRARIES, "matplotlib")
# of the columns of analysis.tables.details, those that fit on a screen
COLUMNS = ("map", "algorithm", "seeds", "mean [95 %]", "reached", "steps [95 %]", "seconds")
HEADLINE = "test_battle_won_mean"
RETURN = "test_return_mean"  # for environments in which nothing is won


def print_results(plan: Plan) -> None:
    """Print what each algorithm reached on each scenario; where that cannot be, say why in a sentence."""
    try:
        import analysis

        analysis.require(*LIBRARIES)
        _print_results(plan)
    except UserError as error:
        print(f"\nNo table of results: {error}")


def _print_results(plan: Plan) -> None:
    from analysis import records, study, tables

    names = records.load([_records(plan)], filters=[f"experiment={plan.name}"], metrics=[]).metric_names
    metric = HEADLINE if HEADLINE in names else RETURN
    wanted = [name for name in study.metrics_needed(metric) if name in names]
    found = records.load([_records(plan)], filters=[f"experiment={plan.name}"], metrics=wanted)
    compared = study.gather(found, metric, group_by=list(plan.setting.sweep))
    details = tables.details(compared)
    shown = [number for number, column in enumerate(details.columns) if column in COLUMNS]
    made = Table(title=details.title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for number in shown:
        made.add_column(details.columns[number], justify="left" if number < details.labels else "right")
    for number, row in enumerate(details.rows):
        made.add_row(*(row[column] for column in shown), end_section=number + 1 in details.rule_before)
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print()
    console.print(made, markup=False)
    for sentence in [*tables.caveats(compared), *compared.problems]:
        console.print(f"* {sentence}", highlight=False, markup=False)


def write_report(plan: Plan) -> None:
    """Write the report into the experiment's folder and say where it is; raises UserError where that cannot be."""
    import analysis

    analysis.require(*REPORT_LIBRARIES)
    from analysis import records, report

    found = records.load([_records(plan)], filters=[f"experiment={plan.name}"])
    metric = HEADLINE if HEADLINE in found.metric_names else RETURN
    page = report.write(found, plan.folder / "report", report.Options(metric, group_by=list(plan.setting.sweep)))
    print(f"\nReport: {shown(page)}")


def print_profile(plan: Plan) -> None:
    """Print where the time of the experiment's run went, and write it beside the run's log."""
    place = run_folder(plan.folder, plan.runs[0].key)
    path = place / "profile.pstats"
    if not path.exists():
        raise UserError(f"{shown(path)} is not there: this experiment was run without --profile.")
    text = profiling.report(path)
    write_text(place / "profile.txt", text + "\n")
    print(f"\n{text}\n\nThis is in {shown(place / 'profile.txt')}; for other tools: {shown(path)}")


def _records(plan: Plan) -> str:
    return str(plan.results / "sacred")


def shown(path: Path) -> str:
    """Return a path as the user would type it: relative to the project where it lies in it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
