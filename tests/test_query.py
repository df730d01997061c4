"""The query command: what it finds, and how it prints it."""

import csv
import io
import json
import re

import pytest
from run_writer import write_run

from configuration import ROOT
from query import main
from tracking.sync import sync_run


@pytest.fixture
def results(tmp_path):
    base = tmp_path / "results" / "sacred"
    write_run(base / "3m/mappo/1", {"test_battle_won_mean": [0.0, 0.9, 0.5]}, token="a")
    write_run(base / "3m/mappo/2", {"test_battle_won_mean": [0.5, 1.0]}, {"seed": 2, "lr": 0.001}, token="b")
    write_run(base / "8m/amal/1", {"loss": [1.0]}, {"name": "amal", "map_name": "8m"}, token="c", status="FAILED")
    return tmp_path / "results"


@pytest.fixture
def query(capsys):
    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_table_of_all_runs(query, results):
    code, out, err = query(results)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if "sacred/" in line] == [
        "sacred/3m/mappo/1",
        "sacred/3m/mappo/2",
        "sacred/8m/amal/1",
    ]
    assert "test_battle_won_mean" in out
    assert err == "3 runs\n"


def test_csv_and_json_hold_the_same(query, results):
    options = ("--columns=run_id,lr,test_battle_won_mean", "--sort=-test_battle_won_mean")
    table = rows(query(results, "--format=csv", *options)[1])
    assert [row["run_id"] for row in table] == ["sacred/3m/mappo/2", "sacred/3m/mappo/1", "sacred/8m/amal/1"]
    assert table[0] == {"run_id": "sacred/3m/mappo/2", "lr": "0.001", "test_battle_won_mean": "1.0"}
    listed = json.loads(query(results, "--format=json", *options)[1])
    assert listed[1] == {"run_id": "sacred/3m/mappo/1", "lr": 0.0005, "test_battle_won_mean": 0.5}
    assert listed[2]["test_battle_won_mean"] is None


def test_conditions_and_the_columns_they_bring(query, results):
    _, out, _ = query(results, "env_args.map_name=3m", "max(test_battle_won_mean)>=0.9", "lr<0.001", "--format=csv")
    (row,) = rows(out)
    assert (row["run_id"], row["lr"], row["env_args.map_name"]) == ("sacred/3m/mappo/1", "0.0005", "3m")


def test_limit_and_reduced_columns(query, results):
    columns = "--columns=run_id,max(test_battle_won_mean)"
    (row,) = rows(query(results, columns, "--sort=-seed", "--limit=1", "--format=csv")[1])
    assert row == {"run_id": "sacred/3m/mappo/2", "max(test_battle_won_mean)": "1.0"}


def test_curves_are_one_value_per_row(query, results):
    _, out, _ = query(results, "seed=1", "--curves=test_battle_won_mean,loss", "--format=csv")
    values = [(row["run_id"], row["metric"], row["step"], row["value"]) for row in rows(out)]
    assert values[0] == ("sacred/8m/amal/1", "loss", "100", "1.0")
    assert [value for _, name, _, value in values if name == "test_battle_won_mean"] == ["0.0", "0.9", "0.5"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lrr>1"], 'Did you mean "lr"'),
        (["--columns=run_id,sed"], 'Did you mean "seed"'),
        (["--curves=los"], 'Did you mean "loss"'),
        (["--sort=-sed"], 'Did you mean "seed"'),
        (["nothere"], 'There is no folder "nothere"'),
        (["--show-query"], "--show-query needs a database"),
        (["--sync=nothere", "--to=mongodb://127.0.0.1:1/x"], 'There is no folder "nothere"'),
    ],
)
def test_mistakes_are_one_sentence(query, results, arguments, words):
    where = [] if arguments[0] == "nothere" else [results]
    code, out, err = query(*where, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_bad_records_are_notes_beside_the_table(query, results):
    (results / "sacred/3m/mappo/1/metrics.json").write_text('{"x')
    code, out, err = query(results)
    assert code == 0
    assert "sacred/3m/mappo/2" in out
    assert "note: Run sacred/3m/mappo/1: metrics.json is broken JSON.\n" in err


class TestDatabase:
    @pytest.fixture
    def source(self, results, mongod, mongo_database):
        for run in ("3m/mappo/1", "3m/mappo/2", "8m/amal/1"):
            sync_run(mongo_database, results / "sacred" / run)
        return f"{mongod}/{mongo_database.name}"

    @pytest.mark.parametrize(
        "conditions",
        [
            ["env_args.map_name=3m"],
            ["map=8m"],
            ["name~ppo", "seed!=1"],
            ["difficulty=7"],
            ["env_args.difficulty=7"],
            ["status=FAILED"],
            ["started>=2026-01-01", "started<2026-01-01 12:01"],
            ["started>2026-01-01"],
            ["test_battle_won_mean>=0.9"],
            ["min(test_battle_won_mean)<0.1", "lr<=0.0005"],
            ["engine=skirmish", "test_greedy=True", "t_max>=10000"],
            ["resume=null"],
        ],
    )
    def test_it_finds_what_the_files_say(self, query, results, source, conditions):
        if conditions == ["difficulty=7"]:
            assert query(source, *conditions)[0] == query(results, *conditions)[0] == 2
            return
        options = (*conditions, "--format=csv", "--columns=algorithm,map,seed,started", "--sort=started")
        assert query(source, *options)[:2] == query(results, *options)[:2]

    def test_the_query_shown_is_python_that_finds_the_same(self, query, source, mongo_database):
        conditions = ("lr>0.0005", "test_battle_won_mean>=0.9", "started>=2026-01-01")
        code, out, err = query(source, *conditions, "--show-query", "--format=csv")
        assert code == 0
        shown = re.sub(r"^(#|note:|\d+ run).*$", "", err, flags=re.MULTILINE).strip()
        *steps, last = re.split(r"\n(?=db\.)", shown)
        names = {"db": mongo_database, "datetime": __import__("datetime")}
        for step in steps:
            exec(step, names)
        found = [str(run["_id"]) for run in eval(last, names)]
        assert found == [row["run_id"] for row in rows(out)] == ["2"]

    def test_indexes_are_made_once(self, query, source, mongo_database):
        code, out, _ = query(source, "--make-indexes")
        assert code == 0
        assert "runs.meta.token_1" in out.split()
        assert query(source, "--make-indexes")[1] == out
        plan = mongo_database.metrics.find({"name": "loss"}).explain()["queryPlanner"]["winningPlan"]
        assert plan["inputStage"]["stage"] == "IXSCAN"

    def test_sync_brings_files_into_the_database(self, query, results, mongod, mongo_database):
        (results / "sacred/3m/mappo/9").mkdir()
        (results / "sacred/3m/mappo/1/run.json").write_text("{")
        target = f"{mongod}/{mongo_database.name}"
        code, out, err = query("--sync", results, "--to", target)
        assert code == 0
        assert out == f"2 runs, 3 new values: {target.removeprefix('mongodb://')} has them all\n"
        assert "run.json is broken; the run is left out" in err
        assert "9 is empty" in err
        assert query("--sync", results, "--to", target)[1].startswith("2 runs, 0 new values")
        assert mongo_database.runs.count_documents({}) == 2

    def test_the_examples_of_the_documentation_run(self, source, mongod, mongo_database, capsys):
        text = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
        (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        assert '"mongodb://localhost:27017")["sacred"]' in example
        exec(example.replace('"mongodb://localhost:27017")["sacred"]', f'"{mongod}")["{mongo_database.name}"]'), {})
        assert capsys.readouterr().out.splitlines() == ["1 1 300 0.5", "2 2 200 1.0", "0.001 1.0 1", "0.0005 0.9 1"]
