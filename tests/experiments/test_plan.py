"""The runs that follow from a setting."""

import shlex

import pytest

from configuration import compose, overlay, parse_updates
from experiments import plan
from experiments.setting import FOLDER, Setting, read
from experiments.sweep import pick
from utils.errors import UserError


def asked(**given):
    return Setting(**{"algos": ["mappo"], "scenarios": ["3m"], "seeds": [0], **given})


def keys(made):
    return [run.key for run in made.runs]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_setting_of_the_repository_can_be_run_by_its_name(path):
    made = plan.make(read(path))
    assert made.name == path.stem
    assert len(made.runs) > 1


class TestRuns:
    def test_every_seed_of_a_comparison_is_complete_before_the_next_begins(self):
        made = plan.make(asked(algos=["mappo", "vdn"], scenarios=["3m", "8m"], seeds=[0, 4]))
        assert keys(made) == [
            *("mappo_3m_seed0", "vdn_3m_seed0", "mappo_8m_seed0", "vdn_8m_seed0"),
            *("mappo_3m_seed4", "vdn_3m_seed4", "mappo_8m_seed4", "vdn_8m_seed4"),
        ]

    def test_main_reads_from_a_command_exactly_what_was_planned(self):
        overrides = {"hidden_layers": "[32, 32]", "env_args.difficulty": "7", "lr": "1e-4", "use_value_norm": "false"}
        made = plan.make(asked(overrides=overrides, sweep={"gamma": "0.9,0.95"}, t_max=2000))
        for run in made.runs:
            words = shlex.split(run.command())
            assert words[2:5] == ["--config=mappo", "--env-config=sc2", "with"]
            base = compose("mappo", "sc2")
            config = overlay(base, parse_updates(base, words[5:]), "")
            assert pick(config, run.settings) == run.settings
        assert made.runs[1].settings["gamma"] == 0.95
        assert made.runs[1].settings["env_args.difficulty"] == "7"

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("label", "two words"),
            ("label", "'quoted'"),
            ("label", "7"),
            ("label", " x "),
            ("env_args.game_version", None),
            ("env_args.game_version", "4.10"),
            ("plugins", ["a", "b"]),
            ("plugins", []),
            ("lr", 1e-05),
            ("t_max", 10**7),
            ("save_model", False),
        ],
    )
    def test_a_value_survives_the_command_line(self, key, value):
        base = compose("mappo", "sc2")
        read = pick(parse_updates(base, [plan.word(base, key, value)]), [key])[key]
        assert read == value
        assert type(read) is type(value)

    def test_swept_values_are_part_of_the_name(self):
        made = plan.make(asked(sweep={"env_args.step_mul": "4,8", "lr": "0.001"}))
        assert keys(made) == ["mappo_3m_step_mul=4_lr=0.001_seed0", "mappo_3m_step_mul=8_lr=0.001_seed0"]
        assert made.runs[0].point == {"env_args.step_mul": 4, "lr": 0.001}

    def test_names_are_folders_and_distinct_however_long_the_values(self):
        long = [f"[{', '.join(['64'] * 60)}, {last}]" for last in (1, 2)]
        made = plan.make(asked(sweep={"hidden_layers": ",".join(long)}))
        assert len(set(keys(made))) == 2
        assert all(len(key) <= 130 and "/" not in key and " " not in key for key in keys(made))

    def test_values_that_mean_the_same_are_refused(self):
        with pytest.raises(UserError, match="would be the same"):
            plan.make(asked(sweep={"lr": "0.001,1e-3"}))

    @pytest.mark.parametrize(("t_max", "interval"), [(100, 200), (5_000, 500), (100_000, 10_000), (10**7, 10_000)])
    def test_short_runs_write_checkpoints_more_often(self, t_max, interval):
        assert plan.make(asked(t_max=t_max)).runs[0].settings["checkpoint_interval"] == interval

    def test_a_checkpoint_interval_of_ones_own_stays(self):
        made = plan.make(asked(t_max=100_000, overrides={"checkpoint_interval": "0"}))
        assert made.runs[0].settings["checkpoint_interval"] == 0

    def test_with_episodes_the_step_budget_does_not_end_the_run_first(self):
        run = plan.make(asked(episodes=1000)).runs[0]
        assert (run.settings["max_episodes"], run.settings["t_max"]) == (1000, 60_000)  # 3m: 60 steps at most
        both = plan.make(asked(episodes=1000, t_max=500)).runs[0]
        assert both.settings["t_max"] == 500

    def test_groups_of_scenarios(self):
        made = plan.make(asked(scenarios=["easy"]))
        assert "mappo_3m_seed0" in keys(made)
        assert "mappo_2s3z_seed0" in keys(made)
        assert made.setting.scenarios == [run.scenario for run in made.runs]

    def test_an_environment_without_scenarios(self):
        made = plan.make(asked(algos=["vdn"], scenarios=[], env="matrix_game"))
        assert keys(made) == ["vdn_matrix_game_seed0"]
        assert "env_args.map_name" not in made.runs[0].settings
        with pytest.raises(UserError, match="has no scenarios"):
            plan.make(asked(algos=["vdn"], env="matrix_game"))

    def test_the_same_request_has_the_same_name_and_another_another(self):
        first = plan.make(asked())
        assert plan.make(asked()).name == first.name
        assert first.name.startswith("mappo_3m_")
        assert len({plan.make(asked(seeds=[1])).name, plan.make(asked(t_max=7)).name, first.name}) == 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"algos": []}, "Which algorithm"),
        ({"seeds": []}, "Which seeds"),
        ({"algos": ["mapo"]}, 'There is no algorithm "mapo"'),
        ({"scenarios": ["3n"]}, 'Did you mean "3m"'),
        ({"env": "sc"}, 'There is no environment "sc"'),
        ({"overrides": {"lrr": "1"}}, 'mappo: Unknown key "lrr". Did you mean "lr"'),
        ({"algos": ["amal", "mappo"], "sweep": {"lambda_info": "0,1"}}, 'mappo: Unknown key "lambda_info"'),
        ({"sweep": {"gamma": "2"}}, "mappo: gamma=2.0 is out of range"),
        ({"overrides": {"seed": "1"}}, '"seed" is set by --seed'),
        ({"overrides": {"env_args.map_name": "3m"}}, "is set by --scenario"),
        ({"sweep": {"resume": "auto"}}, "is set by the experiment"),
        ({"overrides": {"lr": "1"}, "sweep": {"lr": "1,2"}}, "both swept and set"),
        ({"t_max": 5, "overrides": {"t_max": "7"}}, "t_max is given twice"),
        ({"scenarios": ["nowhere.yaml"]}, "nowhere.yaml"),
    ],
)
def test_what_cannot_be_is_refused_beforehand(given, sentence):
    with pytest.raises(UserError) as error:
        plan.make(asked(**given))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


class TestContinuation:
    def stored(self, tmp_path, **given):
        made = self.made(tmp_path, **given)
        plan.store(made)
        return made

    def made(self, tmp_path, overrides=None, **given):
        overrides = {"local_results_path": str(tmp_path), **(overrides or {})}
        return plan.make(asked(name="x", overrides=overrides, **given))

    def test_a_stored_plan_is_read_as_it_was(self, tmp_path):
        made = self.stored(tmp_path, sweep={"hidden_layers": "[8],[8, 8]"})
        assert made.folder == tmp_path / "experiments" / "x"
        assert plan.load(made.folder) == made
        assert not plan.require_continuation(made)
        assert plan.known_experiments(tmp_path) == ["x"]

    def test_more_may_be_asked_of_the_same_experiment(self, tmp_path):
        assert plan.require_continuation(self.made(tmp_path))
        self.stored(tmp_path)
        more = self.made(tmp_path, algos=["mappo", "vdn"], scenarios=["3m", "8m"], seeds=[0, 1])
        assert plan.require_continuation(more)

    def test_a_part_of_it_may_be_asked_for_by_itself(self, tmp_path):
        self.stored(tmp_path, scenarios=["3m", "8m"], seeds=[0, 1])
        assert not plan.require_continuation(self.made(tmp_path, scenarios=["8m"], seeds=[1]))

    def test_what_changes_a_run_or_is_neither_part_nor_more_is_refused(self, tmp_path):
        self.stored(tmp_path, seeds=[0, 1])
        with pytest.raises(UserError, match=r'no run "mappo_3m_seed2", and this .* its "mappo_3m_seed0"'):
            plan.require_continuation(self.made(tmp_path, seeds=[1, 2]))
        with pytest.raises(UserError, match=r"other settings: gamma was \(not set\), now 0.9\. Choose"):
            plan.require_continuation(self.made(tmp_path, seeds=[0], overrides={"gamma": "0.9"}))

    def test_a_folder_that_is_no_experiment(self, tmp_path):
        (tmp_path / "plan.json").write_text("{")
        with pytest.raises(UserError, match=r"holds no readable plan\.json"):
            plan.load(tmp_path)
