"""Tables: their exact text for a hand-made case, their notes, and every format they are written in."""

import pandas as pd
import pytest

from analysis import tables, tables_pairs
from analysis.study import gather
from analysis.table_format import Table
from analysis.tables_published import published_table


@pytest.fixture
def by_hand(make_records):
    """Curves of two tests in a row at 0, then two at the algorithm's level; every seed alike."""
    records = make_records(maps=["3m", "5m_vs_6m"], seeds=2, points=4, t_max=3000)
    level = {"amal": 1.0, "mappo": 0.5}
    for row in records.runs.itertuples():
        mask = (records.metrics["run_id"] == row.run_id) & (records.metrics["metric"] == "test_battle_won_mean")
        records.metrics.loc[mask, "value"] = [0.0, 0.0, level[row.algorithm], level[row.algorithm]]
    return gather(records, sustained=2, last=2)


def test_the_summary_of_a_hand_made_case(by_hand):
    assert (
        tables.summary(by_hand).markdown()
        == """\
**Final test win rate, %: mean of the runs [95 % interval]**

| map | amal | mappo |
| --- | ---: | ---: |
| 3m | 100.0 [100.0, 100.0] | 50.0 [50.0, 50.0] |
| 5m_vs_6m | 100.0 [100.0, 100.0] | 50.0 [50.0, 50.0] |
| mean of 2 maps | 100.0 [100.0, 100.0] | 50.0 [50.0, 50.0] |
| IQM of 2 maps | 100.0 [100.0, 100.0] | 50.0 [50.0, 50.0] |

* A run's final value is the mean of its last 2 tests. Intervals: bootstrap over runs, stratified by map.
* 2 seeds per algorithm and map.
* Rests on 2 seeds: a nominal 95 % bootstrap interval holds the truth in about 49 % of cases (simulation). \
Fewer than 5 seeds: take it as a hint.
* Over the 2 maps together: Rests on 2 seeds on each of 2 maps: a nominal 95 % bootstrap interval holds the truth in \
about 49 % of cases (simulation). Fewer than 5 seeds: take it as a hint.
"""
    )


def test_the_summary_in_latex(by_hand):
    table = tables.summary(by_hand)
    table.notes = ["50 % of a_b & c."]
    assert (
        table.latex()
        == r"""% needs \usepackage{booktabs}
\begin{table}[tb]
\centering
\caption{Final test win rate, \%: mean of the runs [95 \% interval]}
\label{tab:summary}
\begin{tabular}{lrr}
\toprule
map & amal & mappo \\
\midrule
3m & 100.0 [100.0, 100.0] & 50.0 [50.0, 50.0] \\
5m\_vs\_6m & 100.0 [100.0, 100.0] & 50.0 [50.0, 50.0] \\
\midrule
mean of 2 maps & 100.0 [100.0, 100.0] & 50.0 [50.0, 50.0] \\
IQM of 2 maps & 100.0 [100.0, 100.0] & 50.0 [50.0, 50.0] \\
\bottomrule
\end{tabular}
\par\smallskip\footnotesize 50 \% of a\_b \& c.
\end{table}
"""
    )


def test_steps_to_the_threshold_tell_what_was_not_reached(by_hand):
    rows = tables.details(by_hand).rows
    assert rows[0] == ["3m", "amal", "2", "100.0 [100.0, 100.0]", "100.0", "100.0 to 100.0", "50.0", "2/2", rows[0][8]]
    assert rows[0][8].startswith("3,000 [3,000, ")
    assert rows[1][-2:] == ["0/2", "> 3,000"]


def test_values_on_the_way(by_hand):
    table = tables.on_the_way(by_hand, at=[1500, 4000])
    assert table.columns == ["map", "algorithm", "steps, each seed", "at 1,500", "at 4,000"]
    assert table.rows[0] == ["3m", "amal", "3,000, 3,000", "50.0", "-"]
    assert table.rows[1] == ["3m", "mappo", "> 3,000, > 3,000", "25.0", "-"]


def test_round_numbers_of_steps():
    assert tables.round_steps(50_000) == [5_000, 10_000, 20_000, 50_000]
    assert tables.round_steps(12_345, count=2) == [5_000, 10_000]


def test_pairs_name_difference_tests_and_steps(by_hand):
    table = tables_pairs.pairs(by_hand)
    # No spread on either side: no t-test; both at once in ranks
    assert table.rows[0][:5] == ["3m", "amal - mappo", "+50.0", "-", "-"]
    assert table.rows[0][8] == "-"  # mappo never got there: no ratio
    (row,) = tables_pairs.suite_pairs(by_hand).rows
    assert row[:4] == ["amal > mappo", "2", "2", "100 % [100, 100]"]


def test_pairs_put_the_winner_first(make_records):
    study = gather(make_records(algorithms=["amal", "iql"], maps=["8m"], seeds=4))
    assert tables_pairs.suite_pairs(study).rows[0][0] == "amal > iql"
    turned = gather(make_records(algorithms=["mappo", "amal"], maps=["5m_vs_6m"], seeds=4))
    assert tables_pairs.suite_pairs(turned).rows[0][0] == "amal > mappo"


def test_one_algorithm_has_no_pairs(make_records):
    study = gather(make_records(algorithms=["amal"]))
    assert tables_pairs.pairs(study) is None
    assert tables_pairs.suite_pairs(study) is None


def test_one_seed_has_no_interval_and_says_so(make_records):
    study = gather(make_records(seeds=1))
    table = tables.summary(study)
    assert not any("[" in cell for row in table.rows for cell in row)
    assert "1 seed per algorithm and map." in table.notes
    assert any("no interval can be given" in note for note in table.notes)


def test_missing_runs_are_told(make_records):
    records = make_records(seeds=3)
    records.runs = records.runs.drop(records.runs.index[0])
    assert "3 seeds per algorithm and map, fewer: amal on 3m (2)." in tables.summary(gather(records)).notes


def test_a_map_that_some_were_not_run_on_is_no_part_of_the_mean(make_records):
    records = make_records(maps=["3m", "8m", "MMM2"], seeds=2)
    records.runs = records.runs[~((records.runs["map"] == "MMM2") & (records.runs["algorithm"] == "mappo"))]
    table = tables.summary(gather(records))
    assert [row[0] for row in table.rows] == ["3m", "8m", "MMM2", "mean of 2 maps", "IQM of 2 maps"]
    assert table.rows[2][2] == "-"
    assert "Not every algorithm was run on MMM2: no part of the mean over maps." in table.notes


def test_a_return_is_no_percentage(make_records):
    records = make_records(seeds=2)
    records.metrics["metric"] = records.metrics["metric"].replace("test_battle_won_mean", "test_return_mean")
    study = gather(records, "test_return_mean")
    assert "%" not in tables.summary(study).title.partition(":")[0]
    assert "reached" not in tables.details(study).columns


def test_the_table_of_runs_is_cut_with_a_note(make_records):
    study = gather(make_records(seeds=2))
    table = tables.per_run(study, limit=3)
    assert len(table.rows) == 3
    assert table.notes == ["The first 3 of 8 runs; runs.csv beside this page has all."]


def test_published_figures_name_engine_steps_and_source(make_records):
    table = published_table(gather(make_records(maps=["3m"], seeds=2)))
    ours = [row for row in table.rows if row[-1] == "these runs"]
    theirs = [row for row in table.rows if row[-1].startswith("[")]
    assert [row[1] for row in ours] == ["amal (ours)", "mappo (ours)"]
    assert any(row[1].startswith("MAPPO") and "StarCraft II" in row[6] for row in theirs)
    assert all(row[2] != "-" for row in theirs)
    assert published_table(gather(make_records(maps=["a_map_of_ours"], seeds=2))) is None


def test_every_format_keeps_odd_names_whole():
    table = Table("t", "A & B", ["name", "n"], [["a|b_<c>", "1,000"]], 1, [], ["x > y"])
    assert "a\\|b_<c>" in table.markdown()
    assert r"a|b\_\textless{}c\textgreater{} & 1,000 \\" in table.latex()
    assert "<td>a|b_&lt;c&gt;</td>" in table.html()
    assert table.csv() == 'name,n\na|b_<c>,"1,000"\n'


def test_csv_reads_back(by_hand, tmp_path):
    (tmp_path / "t.csv").write_text(tables.details(by_hand).csv())
    frame = pd.read_csv(tmp_path / "t.csv")
    assert list(frame["algorithm"]) == ["amal", "mappo", "amal", "mappo"]
