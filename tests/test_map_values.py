"""Values of single maps: laid over the algorithm's by the map's name, below the command line's, and switched off."""

import pytest

import configuration
from configuration import CONFIG_DIR, compose, load_yaml, overlay, overlay_names, parse_updates, with_map_values
from skirmish.maps import load_map
from utils.errors import UserError


def composed(*updates, algorithm="mappo_paper"):
    """The configuration of a run as src/main.py makes it."""
    base = compose(algorithm, "sc2")
    updates = parse_updates(base, updates)
    return overlay(with_map_values(base, updates, algorithm), updates, "the command line")


@pytest.mark.parametrize(
    ("map_name", "epochs", "mini_batches", "clip", "gain", "rnn"),
    [
        ("3m", 15, 1, 0.2, 0.01, 64),
        ("8m_vs_9m", 15, 1, 0.05, 0.01, 64),
        ("5m_vs_6m", 10, 1, 0.05, 0.01, 64),
        ("27m_vs_30m", 5, 1, 0.2, 0.01, 64),
        ("corridor", 5, 1, 0.2, 0.01, 0),
        ("MMM2", 5, 2, 0.2, 1.0, 64),
    ],
)
def test_mappos_published_values(map_name, epochs, mini_batches, clip, gain, rnn):
    config = composed(f"env_args.map_name={map_name}")
    keys = ("epochs", "mini_batches", "eps_clip", "policy_gain", "rnn_hidden_dim")
    assert tuple(config[key] for key in keys) == (epochs, mini_batches, clip, gain, rnn)


@pytest.mark.parametrize(
    ("map_name", "frames", "rnn", "clip"), [("3s_vs_4z", 4, 0, 0.2), ("3s_vs_5z", 4, 0, 0.05), ("3s_vs_3z", 1, 64, 0.2)]
)
def test_mappos_stalkers_have_stacked_frames_in_place_of_a_memory(map_name, frames, rnn, clip):
    config = composed(f"env_args.map_name={map_name}")
    assert (config["frame_stack"], config["rnn_hidden_dim"], config["eps_clip"]) == (frames, rnn, clip)


@pytest.mark.parametrize("algorithm", ["qmix", "vdn", "iql", "qatten", "qplex", "qtran", "ow_qmix", "cw_qmix"])
def test_qmixs_published_values_serve_its_kin_too(algorithm):
    hard = composed("env_args.map_name=6h_vs_8z", algorithm=algorithm)
    assert (hard["epsilon_anneal_time"], hard["td_lambda"]) == (500_000, 0.3)
    large = composed("env_args.map_name=3s5z_vs_3s6z", algorithm=algorithm)
    assert (large["rnn_hidden_dim"], large["mixing_embed_dim"], large["hypernet_embed"]) == (256, 64, 256)
    easy = composed("env_args.map_name=3m", algorithm=algorithm)
    assert easy == composed("env_args.map_name=3m", "per_map=''", algorithm=algorithm) | {"per_map": "qmix"}
    assert composed("env_args.map_name=6h_vs_8z", "per_map=''", algorithm=algorithm)["td_lambda"] == 0.6


def test_pymarls_own_setting_has_none():
    assert "per_map" not in composed("env_args.map_name=6h_vs_8z", algorithm="qmix_pymarl")


@pytest.mark.parametrize("map_name", load_yaml(CONFIG_DIR / "maps" / "amal.yaml"))
def test_amals_ablations_share_its_view_and_stay_without_what_they_are_without(map_name):
    whole = composed(f"env_args.map_name={map_name}", algorithm="amal")
    for name in ("amal_no_imagination", "amal_reuse"):
        part = composed(f"env_args.map_name={map_name}", algorithm=f"ablation/{name}")
        assert (part["obs_last_action"], part["imagination_updates"]) == (whole["obs_last_action"], 0)
    assert composed(f"env_args.map_name={map_name}", algorithm="ablation/amal_mixed")["aux_ratio"] > 0


def test_a_file_that_extends_the_algorithm_is_above_them(tmp_path):
    """The values of a map are the algorithm's; what someone says in an overlay of their own holds on every map."""
    (tmp_path / "mine.yaml").write_text("extends: amal\naux_ratio: 0.2\n")
    (tmp_path / "below.yaml").write_text("extends: amal\naux_ratio: 0.2\nper_map: amal\n")
    mine = composed("env_args.map_name=3s_vs_4z", algorithm=str(tmp_path / "mine.yaml"))
    assert (mine["aux_ratio"], mine["imagination_horizon"]) == (0.2, 100)
    (tmp_path / "on_it.yaml").write_text("extends: mine.yaml\nimagination_horizon: 7\n")
    on_it = composed("env_args.map_name=3s_vs_4z", algorithm=str(tmp_path / "on_it.yaml"))
    assert (on_it["aux_ratio"], on_it["imagination_horizon"], on_it["imagination_updates"]) == (0.2, 7, 10)
    assert composed("env_args.map_name=3s_vs_4z", algorithm=str(tmp_path / "below.yaml"))["aux_ratio"] == 0.0


def test_asked_for_on_the_command_line_they_are_above_every_file():
    assert compose("mappo_8x10")["epochs"] != 5
    assert composed("env_args.map_name=3s5z", "per_map=mappo", algorithm="mappo_8x10")["epochs"] == 5


def test_the_command_line_is_above_them():
    assert composed("env_args.map_name=5m_vs_6m", "epochs=7")["epochs"] == 7


def test_an_empty_key_switches_them_off():
    assert composed("env_args.map_name=5m_vs_6m", "per_map=''")["epochs"] == 15


def test_an_unknown_set_is_an_error_with_the_nearest_name():
    with pytest.raises(UserError, match='Did you mean "mappo"'):
        composed("per_map=mapo")


def test_a_key_the_algorithm_does_not_have_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "wrong.yaml").write_text("3m: {epoch: 3}\n")
    base = compose("mappo_paper", "sc2")
    monkeypatch.setattr(configuration, "CONFIG_DIR", tmp_path)
    with pytest.raises(UserError, match="epoch"):
        with_map_values(base, {"per_map": "wrong"}, "mappo_paper")


@pytest.mark.parametrize("name", overlay_names("maps"))
def test_the_sets_name_maps_that_exist(name):
    for map_name in load_yaml(CONFIG_DIR / "maps" / f"{name}.yaml"):
        assert load_map(map_name).name == map_name
