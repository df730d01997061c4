"""What was asked for: numbers, seeds, names, setting files."""

import pytest

from experiments import setting
from experiments.setting import Setting, count, name_list, one_seed, seed_list, split_overrides
from utils.errors import UserError


@pytest.mark.parametrize(
    ("text", "number"), [("5000", 5000), ("100k", 100_000), ("2M", 2_000_000), ("1.5m", 1_500_000), ("1e5", 100_000)]
)
def test_counts(text, number):
    assert count(text, "--t-max") == number


@pytest.mark.parametrize("text", ["0", "-5", "k", "1.5", "many", "", "1e400", True, None])
def test_what_is_no_count(text):
    with pytest.raises(UserError, match="is not a positive whole number"):
        count(text, "--t-max")


@pytest.mark.parametrize(
    ("value", "seeds"),
    [("3", [0, 1, 2]), (2, [0, 1]), ("0,3,7", [0, 3, 7]), ("10-12", [10, 11, 12]), ([4, 2], [4, 2]), ("7,", [7])],
)
def test_seeds(value, seeds):
    assert seed_list(value) == seeds


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("0", "neither a number of seeds"),
        ("-1", "neither a number of seeds"),
        ("some", "neither a number of seeds"),
        ("1,1", "names seed 1 twice"),
        ("1,x", "'x' is not a seed"),
        ("3000000000,1", "is not a seed"),
        ("9-3", "names no seed"),
        (",", "names no seed"),
        ([], "names no seed"),
    ],
)
def test_what_are_no_seeds(value, sentence):
    with pytest.raises(UserError, match=sentence):
        seed_list(value)


def test_one_seed_is_the_seed_itself():
    assert one_seed("7") == [7]
    assert one_seed("0") == [0]
    with pytest.raises(UserError, match="names no seed"):
        one_seed("")


def test_names():
    assert name_list(" amal, mappo ,", "--algos") == ["amal", "mappo"]
    with pytest.raises(UserError, match="names nothing"):
        name_list(",", "--algos")
    with pytest.raises(UserError, match='names "amal" twice'):
        name_list("amal,amal", "--algos")


def test_overrides():
    assert split_overrides(["with", "lr=0.1", "env_args.step_mul = 4"]) == {"lr": "0.1", "env_args.step_mul": "4"}
    for word in ("lr", "=1", "lr="):
        with pytest.raises(UserError, match="is not of the form key=value"):
            split_overrides([word])
    with pytest.raises(UserError, match="options come before it"):
        split_overrides(["--status"])
    with pytest.raises(UserError, match="given twice"):
        split_overrides(["lr=1", "lr=2"])


class TestFiles:
    def write(self, tmp_path, text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    def test_everything_a_file_may_say(self, tmp_path):
        read = setting.read(
            self.write(
                tmp_path,
                "name: mine\nalgos: [amal, mappo]\nscenarios: 3m,8m\nseeds: 2\nt_max: 20k\n"
                "overrides: {lr: 5e-4, env_args: {step_mul: 4}, hidden_layers: [64, 64]}\n"
                "sweep: {epochs: [3, 5], gamma: '0.9..0.99'}\nrandom: 4\nrandom_seed: 0\n",
            )
        )
        assert read == Setting(
            name="mine",
            algos=["amal", "mappo"],
            scenarios=["3m", "8m"],
            seeds=[0, 1],
            t_max=20_000,
            overrides={"lr": "0.0005", "env_args.step_mul": "4", "hidden_layers": "[64, 64]"},
            sweep={"epochs": "3,5", "gamma": "0.9..0.99"},
            random=4,
        )

    def test_what_is_written_is_read_again(self, tmp_path):
        asked = Setting("a", ["amal"], ["3m"], [0], "sc2", 100, 0, {"lr": "5e-4", "mixer": "None"}, {"epochs": "1,2"})
        assert setting.read(self.write(tmp_path, asked.to_yaml())) == asked

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("algo: amal", 'there is no key "algo". Did you mean "algos"?'),
            ("seeds: 0", "seeds=0 is neither"),
            ("t_max: soon", "t_max=soon is not a positive whole number"),
            ("algos: []", "algos names nothing"),
            ("overrides: 3", "overrides must hold"),
            ("name: a/b", "cannot be a folder's"),
            ("- a", "must hold `key: value` lines"),
        ],
    )
    def test_mistakes_are_a_sentence_with_the_file(self, tmp_path, text, sentence):
        with pytest.raises(UserError) as error:
            setting.read(self.write(tmp_path, text))
        assert sentence in str(error.value)
        assert "mine.yaml" in str(error.value)

    def test_shipped_settings_are_found_by_name(self):
        read = setting.read(setting.find_file("small"))
        assert (read.name, len(read.seeds), read.algos[0]) == ("small", 3, "mappo")
        with pytest.raises(UserError, match='Did you mean "small"'):
            setting.find_file("smal")
