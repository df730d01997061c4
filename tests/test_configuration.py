"""The overlays, and every sentence that refuses a value."""

import pytest
import yaml

import configuration
from configuration import (
    compose,
    load_overlay,
    load_yaml,
    overlay,
    overlay_names,
    parse_updates,
    read_command_line,
)
from key_ranges import RANGES
from run import assembly
from utils.errors import UserError


@pytest.fixture
def config_dir(tmp_path, monkeypatch):
    """A small configuration folder: default, one environment, algorithms at two depths."""
    (tmp_path / "algs" / "thesis").mkdir(parents=True)
    (tmp_path / "envs").mkdir()
    (tmp_path / "default.yaml").write_text("env: game\nenv_args: {}\nlr: 0.1\nt_max: 10\nname: none\n")
    (tmp_path / "envs" / "game.yaml").write_text("env_args: {size: 3, map_name: a}\nt_max: 20\nlr: 5e-4\n")
    (tmp_path / "algs" / "alg.yaml").write_text("name: alg\nt_max: 30\nenv_args: {size: 4}\nown_key: [64, 64]\n")
    (tmp_path / "algs" / "thesis" / "th_alg.yaml").write_text("name: th_alg\n")
    monkeypatch.setattr(configuration, "CONFIG_DIR", tmp_path)
    return tmp_path


BASE = {
    "t_max": 100,
    "lr": 0.5,
    "use_cuda": True,
    "name": "x",
    "plugins": [],
    "seed": None,
    "gamma": 0.99,
    "layers": [64],
    "hidden_layers": [64, 64],
    "grad_norm_clip": 10,
    "value_epochs": None,
    "value_lambda": None,
    "value_norm_beta": 0.99999,
    "target_update_interval_or_tau": 0.0,
    "env_args": {"map_name": "3m", "difficulty": "7", "reward_win": 200, "engine": "auto", "limit": None},
    "free": {},
}


class TestCommandLine:
    @pytest.mark.parametrize(
        "form", [["--config=thesis/th_x", "--env-config=sc2"], ["--config", "thesis/th_x", "--env-config", "sc2"]]
    )
    def test_both_forms_of_both_options_are_taken_out(self, form):
        line = read_command_line([*form, "with", "a=1"])
        assert (line.algorithm, line.environment, line.rest) == ("thesis/th_x", "sc2", ["with", "a=1"])

    @pytest.mark.parametrize(
        "arguments", [["--config"], ["--config="], ["--config", "with", "a=1"], ["--config", "-h"]]
    )
    def test_an_option_without_a_name_is_refused(self, arguments):
        with pytest.raises(UserError, match="--config needs a name"):
            read_command_line(arguments)

    def test_an_option_given_twice_is_refused(self):
        with pytest.raises(UserError, match="--config was given twice: a and b"):
            read_command_line(["--config=a", "--config", "b"])

    @pytest.mark.parametrize("flag", ["-h", "--help"])
    def test_help_is_seen_anywhere(self, flag):
        assert read_command_line(["with", "a=1", flag]).help


class TestOverlays:
    def test_the_order_is_default_environment_algorithm(self, config_dir):
        config = compose("alg", "game")
        assert config["t_max"] == 30
        assert config["lr"] == 5e-4
        assert config["env_args"] == {"size": 4, "map_name": "a"}

    def test_without_an_environment_the_default_one_is_taken(self, config_dir):
        assert compose("alg")["env_args"]["map_name"] == "a"

    def test_nested_names_work(self, config_dir):
        assert compose("thesis/th_alg")["name"] == "th_alg"
        assert overlay_names("algs") == ["alg", "thesis/th_alg"]

    def test_a_missing_overlay_names_the_nearest(self, config_dir):
        with pytest.raises(UserError, match=r'no algorithm "agl" in src/config/algs/. Did you mean "alg"\?'):
            compose("agl")
        with pytest.raises(UserError, match=r'no environment "gamee".* Did you mean "game"\?'):
            compose("alg", "gamee")

    def test_no_algorithm_at_all_lists_them(self, config_dir):
        with pytest.raises(UserError, match=r"--config=NAME, one of: alg, thesis/th_alg"):
            compose(None)

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [("t_max: many", "t_max='many' is not a number"), ("epochs: 0", "epochs=0 is out of range; .* at least 1")],
    )
    def test_a_wrong_value_in_a_file_names_the_file(self, config_dir, line, sentence):
        (config_dir / "algs" / "alg.yaml").write_text(line)
        with pytest.raises(UserError, match=f"src/config/algs/alg.yaml: {sentence}"):
            compose("alg")

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [("a: [1\nb: 2", "line 2 is not valid YAML"), ("a: 1\na: 2", '"a" is given twice'), ("- 1", "not a list")],
    )
    def test_a_broken_file_is_one_sentence(self, tmp_path, text, sentence):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(UserError, match=sentence) as error:
            load_yaml(tmp_path / "x.yaml")
        assert "\n" not in str(error.value)

    def test_neither_layer_is_changed_by_merging(self):
        base, upper = {"a": {"b": [1]}}, {"a": {"b": [2]}}
        merged = overlay(base, upper, "test")
        merged["a"]["b"].append(3)
        assert (base, upper) == ({"a": {"b": [1]}}, {"a": {"b": [2]}})


class TestUpdates:
    @pytest.mark.parametrize(
        ("update", "expected"),
        [
            ("t_max=1e6", {"t_max": 1_000_000}),
            ("lr=5e-4", {"lr": 5e-4}),
            ("lr=1", {"lr": 1.0}),
            ("use_cuda=false", {"use_cuda": False}),
            ("use_cuda=True", {"use_cuda": True}),
            ("name=5e-4", {"name": "5e-4"}),
            ("name='a b'", {"name": "a b"}),
            ("plugins=one,two", {"plugins": ["one", "two"]}),
            ("layers=[128, 64]", {"layers": [128, 64]}),
            ("seed=3", {"seed": 3}),
            ("seed=None", {"seed": None}),
            ("value_epochs=3", {"value_epochs": 3}),
            ("value_epochs=null", {"value_epochs": None}),
            ("value_lambda=1", {"value_lambda": 1.0}),
            ("hidden_layers=64", {"hidden_layers": [64]}),
            ("hidden_layers=128,64", {"hidden_layers": [128, 64]}),
            ("hidden_layers=[]", {"hidden_layers": []}),
            ("target_update_interval_or_tau=0.01", {"target_update_interval_or_tau": 0.01}),
            ("target_update_interval_or_tau=200", {"target_update_interval_or_tau": 200.0}),
            ("grad_norm_clip=0.5", {"grad_norm_clip": 0.5}),
            ("env_args.map_name=8m", {"env_args": {"map_name": "8m"}}),
            ("env_args.difficulty=7", {"env_args": {"difficulty": "7"}}),
            ("env_args.reward_win=1.5", {"env_args": {"reward_win": 1.5}}),
            ("env_args.limit=4", {"env_args": {"limit": 4}}),
            ("free.anything=4", {"free": {"anything": 4}}),
        ],
    )
    def test_values_get_the_type_of_the_default(self, update, expected):
        result = parse_updates(BASE, [update])
        assert result == expected
        key = next(iter(expected))
        assert type(result[key]) is type(expected[key])

    @pytest.mark.parametrize(
        ("update", "sentence"),
        [
            ("t_maxx=5", 'Unknown key "t_maxx". Did you mean "t_max"?'),
            ("map_name=3m", 'Unknown key "map_name". Did you mean "env_args.map_name"?'),
            ("env_args.map=3m", 'Unknown key "env_args.map". Did you mean "env_args.map_name"?'),
            ("t_max=abc", "t_max='abc' is not a number."),
            ("t_max=0.5", "t_max=0.5 is not a whole number."),
            ("t_max=True", "t_max=True is not a number."),
            ("t_max=0", "t_max=0 is out of range; it must be at least 1."),
            ("lr=nan", "lr='nan' is not a number."),
            ("gamma=1.01", "gamma=1.01 is out of range; it must be between 0 and 1."),
            ("use_cuda=1", "use_cuda=1 is not True or False."),
            ("use_cuda=maybe", "use_cuda='maybe' is not True or False."),
            ("layers=[64", "layers='[64' is not a list, as in [64, 64]."),
            ("hidden_layers=[64,a]", "hidden_layers[1]='a' is not a number."),
            ("hidden_layers=[64,0]", "hidden_layers=[64, 0] is out of range; each number must be between 1 and 65536."),
            ("value_epochs=2.5", "value_epochs=2.5 is not a whole number."),
            ("value_epochs=0", "value_epochs=0 is out of range; it must be at least 1."),
            ("value_lambda=abc", "value_lambda='abc' is not a number."),
            ("value_lambda=True", "value_lambda=True is not a number."),
            ("value_lambda=[1]", "value_lambda=[1] is not a number."),
            ("value_norm_beta=1", "value_norm_beta=1.0 is out of range; it must be between 0 and 0.999999."),
            (
                "target_update_interval_or_tau=1.5",
                "target_update_interval_or_tau=1.5 is neither a share, up to 1, nor a whole number.",
            ),
            ("seed=abc", "seed='abc' is not a number."),
            ("seed=2.5", "seed=2.5 is not a whole number."),
            ("seed=-1", "seed=-1 is out of range; it must be between 0 and 2.14748e+09."),
            ("env_args=3", "env_args=3 is not a mapping of keys to values."),
            ("env_args.engine=sc2", "env_args.engine='sc2' is not one of auto, skirmish, starcraft2."),
            ("lr=", '"lr=" is not of the form key=value.'),
            ("=3", '"=3" is not of the form key=value.'),
            ("nonsense", 'After "with" come key=value pairs or a YAML file; "nonsense" is neither.'),
        ],
    )
    def test_what_is_wrong_is_one_sentence(self, update, sentence):
        with pytest.raises(UserError) as error:
            parse_updates(BASE, [update])
        assert str(error.value) == sentence

    def test_a_file_is_laid_over_like_typed_keys(self, tmp_path):
        path = tmp_path / "tuned.yaml"
        path.write_text(yaml.safe_dump({"t_max": 7, "env_args": {"map_name": "8m"}}))
        assert parse_updates(BASE, [str(path), "t_max=9"]) == {"t_max": 9, "env_args": {"map_name": "8m"}}
        path.write_text("t_maxx: 7\n")
        with pytest.raises(UserError, match=r'Unknown key "t_maxx"'):
            parse_updates(BASE, [str(path)])

    def test_a_mapping_is_checked_key_by_key(self):
        assert parse_updates(BASE, ["env_args={'map_name': '8m'}"]) == {"env_args": {"map_name": "8m"}}
        with pytest.raises(UserError, match=r'Unknown key "env_args.mapp"'):
            parse_updates(BASE, ["env_args={'mapp': '8m'}"])


@pytest.mark.parametrize("algorithm", overlay_names("algs"))
@pytest.mark.parametrize("environment", overlay_names("envs"))
def test_every_shipped_combination_composes(algorithm, environment):
    config = compose(algorithm, environment)
    assert config["name"] != "unnamed"
    assert config["learner"]
    assert config["env"] == environment
    assembly.check_together(config)


ANY_NUMBER = {"target_entropy", "repeat_id"}


@pytest.mark.parametrize("algorithm", overlay_names("algs"))
def test_every_number_of_an_algorithm_has_a_range(algorithm):
    numbers = {key for key, value in compose(algorithm).items() if type(value) in (int, float)}
    assert numbers - ANY_NUMBER <= set(RANGES)


@pytest.mark.parametrize(
    ("algorithm", "update", "sentence"),
    [
        ("mappo", "mini_batches=17", "mini_batches=17 is more than batch_size_run=16. Lower mini_batches or raise"),
        ("amal", "imagined_mini_batches=200", "is more than imagination_rollouts=160."),
        ("amal", "num_auxiliary_agents=0", "needs mi_policies=noise, not both."),
        ("ablation/amal_mixed", "aux_ratio=0.0", "from what auxiliaries imagine, but aux_ratio=0. Raise aux_ratio."),
        ("ablation/amal_mixed", "imagination_updates=0", "imagine, but imagination_updates=0. Raise"),
        ("qmix", "batch_size=6000", "batch_size=6000 is more than buffer_size=5000."),
        ("maddpg", "accumulate_gradients=2", "accumulate_gradients=2 has no effect on maddpg_learner"),
        ("maddpg", "target_update_tau=0", 'needs the key "target_update_interval", which "maddpg" does not have.'),
        ("mappo", "action_selector=epsilon_greedy", 'needs the key "epsilon_start", which "mappo" does not have.'),
        ("mappo", "learner=hatrpo_learner", 'needs the key "max_kl", which "mappo" does not have. Leave learner as it'),
        ("qmix", "mixer=dmaq", 'needs the key "num_kernel", which "qmix" does not have. Leave mixer as it was, or use'),
        ("mappo", "critic_type=foo", 'critic_type="foo" does not exist. Known: '),
        ("mappo", "critic_type=ppo_crtic", 'Did you mean "ppo_critic"?'),
    ],
)
def test_values_that_do_not_go_together_are_one_sentence(algorithm, update, sentence):
    config = compose(algorithm, "matrix_game")
    with pytest.raises(UserError) as error:
        assembly.check(overlay(config, parse_updates(config, [update]), "the command line"))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("algorithm", "updates"),
    [
        ("mappo", ["batch_size_run=1", "evaluate=True"]),  # nothing is cut into mini-batches
        ("mappo", ["batch_size=64"]),  # nor drawn from a buffer
        ("maddpg", ["batch_size=512", "buffer_size=100"]),  # transitions, and episodes
        ("qmix", ["target_update_tau=0.01"]),
    ],
)
def test_values_that_go_together_are_left_alone(algorithm, updates):
    config = compose(algorithm, "matrix_game")
    assembly.check_together(overlay(config, parse_updates(config, updates), "the command line"))


def test_an_overlay_may_extend_another_and_names_only_what_differs():
    below, above = compose("qmix_pymarl", "sc2"), compose("cw_qmix", "sc2")
    assert above["learner"] == "wqmix_learner"
    assert above["weighting"] == "central"
    assert above["lr"] == 0.001
    assert above["target_update_interval"] == below["target_update_interval"]
    assert "extends" not in above


def test_overlays_that_extend_each_other_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "algs"
    folder.mkdir()
    (folder / "a.yaml").write_text("extends: b\n")
    (folder / "b.yaml").write_text("extends: a\n")
    monkeypatch.setattr(configuration, "CONFIG_DIR", tmp_path)
    with pytest.raises(UserError, match="a extends b extends a"):
        load_overlay("algs", "a")
