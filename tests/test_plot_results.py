"""The command that draws: folders, summaries, and every mistake as a sentence with the rest still shown."""

import json
from pathlib import Path

import pytest

import plot_results

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def results(tmp_path, write_run):
    """A results folder with two algorithms on one map, three seeds each."""
    for algorithm, middle in (("amal", 3), ("mappo", 6)):
        for seed in (1, 2, 3):
            write_run(tmp_path / "results", algorithm, seed, [float(step >= middle + seed % 2) for step in range(12)])
    return tmp_path / "results"


@pytest.fixture
def write_run():
    """Write one run as sacred's file store does."""

    def write(root, algorithm, seed, win_rates, map_name="3m", engine="skirmish", **keys):
        folder = root / "sacred" / map_name / algorithm / f"{seed}{keys.pop('suffix', '')}"
        folder.mkdir(parents=True)
        config = {
            "name": algorithm,
            "seed": seed,
            "t_max": 12_000,
            "test_nepisode": 32,
            "test_greedy": True,
            "env_args": {"map_name": map_name, "seed": seed},
            "engine_info": {"engine": engine, "engine_version": "0.1.0", "map_checksum": "abc"},
            **keys,
        }
        start = "2026-01-01T00:00:00"
        run = {"status": "COMPLETED", "start_time": start, "stop_time": "2026-01-01T00:01:00", "heartbeat": start}
        steps = [1000 * (number + 1) for number in range(len(win_rates))]
        metrics = {
            "test_battle_won_mean": {"steps": steps, "values": win_rates, "timestamps": [start] * len(steps)},
            "wall_seconds": {"steps": steps[-1:], "values": [60.0], "timestamps": [start]},
        }
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "metrics.json").write_text(json.dumps(metrics))
        return folder

    return write


@pytest.fixture
def no_figures(monkeypatch):
    """Leave the figures out, which take most of the time, where a test is about words."""
    monkeypatch.setattr("analysis.pictures.draw", lambda *_: iter(()))


def draw(capsys, *arguments):
    """Call the command; return its exit code, what it printed and what it said on standard error."""
    code = plot_results.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_figures_tables_and_page_of_a_results_folder(results, tmp_path, capsys):
    code, out, err = draw(capsys, "--exp_dir", results, "--out", tmp_path / "out", "--report")
    assert (code, err) == (0, "")
    assert "| map | amal | mappo |" in out
    assert out.rstrip().endswith(f"Report: {tmp_path / 'out' / 'report.html'}")
    written = {path.name for path in (tmp_path / "out").rglob("*")}
    assert {"report.html", "tables.tex", "tables.md", "learning_curves.png", "learning_curves.pdf"} <= written


def test_a_summary_draws_the_same_tables_as_its_runs(results, tmp_path, capsys):
    summary = tmp_path / "kept.json"
    assert draw(capsys, "--exp_dir", results, "--out", tmp_path / "a", "--summary", summary)[0] == 0
    assert draw(capsys, "--from-summary", summary, "--out", tmp_path / "b")[0] == 0
    assert (tmp_path / "a" / "tables.md").read_text() == (tmp_path / "b" / "tables.md").read_text()
    assert len(summary.read_text().splitlines()) == 6 + 2
    png = "figures/learning_curves.png"
    assert (tmp_path / "a" / png).read_bytes() == (tmp_path / "b" / png).read_bytes()


@pytest.mark.parametrize("summary", ["3m", "2s3z"])
def test_the_published_summaries_can_be_drawn(no_figures, tmp_path, capsys, summary):
    path = ROOT / "results" / "reference" / f"{summary}.json"
    code, out, _ = draw(capsys, "--from-summary", path, "--out", tmp_path)
    assert code == 0
    last_tests: dict[str, list[float]] = {}
    for run in json.loads(path.read_text())["runs"]:
        values = run["metrics"]["test_battle_won_mean"]["values"][-3:]
        last_tests.setdefault(run["algorithm"], []).append(sum(values) / len(values))
    row = next(line for line in out.splitlines() if line.startswith(f"| {summary} |"))
    shown = [float(cell.split("[")[0]) for cell in row.split("|")[2:-1]]
    assert shown == pytest.approx([100 * sum(v) / len(v) for _, v in sorted(last_tests.items())], abs=0.06)


def test_choosing_algorithms_maps_and_conditions(no_figures, results, tmp_path, write_run, capsys):
    write_run(results, "amal", 1, [0.0, 0.0, 0.0], map_name="8m")
    arguments = ["--exp_dir", results, "--out", tmp_path / "o", "--algorithms", "amal", "--maps", "3m"]
    code, out, _ = draw(capsys, *arguments, "--where", "seed>=2")
    assert code == 0
    assert "| map | amal |" in out
    assert "2 seeds per algorithm and map." in out
    assert "8m" not in out


def test_at_takes_steps_as_people_write_them(no_figures, results, tmp_path, capsys):
    draw(capsys, "--exp_dir", results, "--out", tmp_path / "o", "--at", "2000,5k")
    assert "at 2,000 | at 5,000 |" in (tmp_path / "o" / "tables.md").read_text()


# --- mistakes --------------------------------------------------------------------------------------------------------


def test_an_empty_folder(tmp_path, capsys):
    code, out, err = draw(capsys, "--exp_dir", tmp_path)
    assert (code, out) == (2, "")
    assert "There is no run to compare." in err
    assert "Traceback" not in err


def test_a_run_that_stands_twice_in_summaries(tmp_path, capsys):
    source = ROOT / "results" / "reference" / "3m.json"
    other = tmp_path / "3m.json"
    other.write_bytes(source.read_bytes())
    code, out, err = draw(capsys, "--from-summary", source, other, "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    assert "stands twice" in err
    assert str(other) in err


def test_a_folder_that_is_not_there_and_no_source_at_all(tmp_path, capsys):
    assert draw(capsys, "--exp_dir", tmp_path / "nope")[0] == 2
    code, _, err = draw(capsys)
    assert code == 2
    assert err.startswith("Which runs?")


def test_broken_json_and_a_run_without_metrics_leave_the_rest(no_figures, results, tmp_path, write_run, capsys):
    (write_run(results, "amal", 4, [1.0]) / "metrics.json").write_text('{"test_battle_won_mean": {"st')
    (write_run(results, "amal", 5, [1.0]) / "metrics.json").write_text("{}")
    code, out, err = draw(capsys, "--exp_dir", results, "--out", tmp_path / "o", "--report")
    assert code == 0
    assert "broken JSON" in err
    assert "amal/5" in err
    assert "3 seeds per algorithm and map." in out
    assert "broken JSON" in (tmp_path / "o" / "report.html").read_text()


def test_the_same_seed_twice_counts_once(no_figures, results, tmp_path, write_run, capsys):
    write_run(results, "amal", 1, [0.0, 0.0], suffix="0")
    code, out, err = draw(capsys, "--exp_dir", results, "--out", tmp_path / "o")
    assert code == 0
    assert "same seed" in err
    assert "3 seeds per algorithm and map." in out


def test_one_seed_says_what_it_is_worth(no_figures, tmp_path, write_run, capsys):
    write_run(tmp_path / "r", "mappo", 1, [0.0, 1.0])
    code, out, _ = draw(capsys, "--exp_dir", tmp_path / "r", "--report")
    assert code == 0
    assert "Rests on 1 seed: no interval can be given." in out
    assert (tmp_path / "r" / "report" / "report.html").exists()


def test_an_unknown_metric_names_the_nearest(results, capsys):
    code, _, err = draw(capsys, "--exp_dir", results, "--metric", "test_batle_won_mean")
    assert code == 2
    assert 'Did you mean "test_battle_won_mean"?' in err
    assert len(err.splitlines()) == 1


def test_mixed_engines_are_refused_and_the_rest_shown(no_figures, results, tmp_path, write_run, capsys):
    write_run(results, "amal", 9, [1.0] * 5, engine="starcraft2")
    code, out, err = draw(capsys, "--exp_dir", results, "--out", tmp_path / "o")
    assert code == 0
    assert "engine=starcraft2" in err
    assert "must not be compared" in err
    assert "3 seeds per algorithm and map." in out


@pytest.mark.parametrize("content", ["nonsense", "[]", '{"format": 99, "runs": []}'])
def test_a_file_that_is_no_summary(tmp_path, capsys, content):
    (tmp_path / "s.json").write_text(content)
    code, _, err = draw(capsys, "--from-summary", tmp_path / "s.json")
    assert code == 2
    assert "s.json" in err


def test_numbers_of_tests_must_be_positive(results, capsys):
    code, _, err = draw(capsys, "--exp_dir", results, "--last", "0")
    assert (code, err) == (2, "--last is a number of tests, at least 1, not 0.\n")


def test_a_password_is_never_in_the_report():
    from analysis.commands import without_password

    assert without_password("mongodb://me:secret@host:27017/runs") == "mongodb://host:27017/runs"
    assert without_password("--maps") == "--maps"
