"""Published figures: some known by heart, and ours beside them."""

import pandas as pd
import pytest

from analysis import published
from utils.errors import UserError


def test_figures_known_from_the_papers():
    mappo = [f for f in published.lookup("2m_vs_1z", "MAPPO(FP)") if f.source.startswith("Yu et al. 2022")]
    assert [(f.win_rate, f.steps, f.engine) for f in mappo] == [(1.0, 10_000_000, "StarCraft II 4.10")]
    marie = published.lookup("1c3s5z", "marie", steps=100_000)[0]
    assert (marie.win_rate, marie.spread, marie.seeds, marie.steps) == (0.85, 0.094, 4, 100_000)
    assert marie.words().startswith("MARIE on 1c3s5z: 85.0 % (spread 9.4, std over seeds) after 100,000 steps")


def test_every_figure_is_a_rate_with_a_source_and_an_engine():
    assert len(published.figures()) > 700
    for figure in published.figures():
        assert 0 <= figure.win_rate <= 1 and (figure.spread is None or 0 <= figure.spread <= 1)
        assert figure.source and figure.engine and figure.statistic and figure.evidence
        assert figure.steps is None or figure.steps >= 20_000


def test_lookup_by_family_name_engine_and_steps():
    family = published.lookup("3s5z", "qmix")
    assert {f.family for f in family} == {"qmix"} and len({f.algorithm for f in family}) > 2
    assert {f.algorithm for f in published.lookup("3s5z", "finetuned-qmix")} == {"Finetuned-QMIX"}
    old = published.lookup("3s5z", "qmix", engine="4.6.2")
    assert old and all("4.6.2" in f.engine for f in old)
    near = published.lookup("3s5z", "qmix", steps=100_000)
    assert len({(f.source, f.algorithm) for f in near}) == len(near) < len(family)
    assert near[0].steps == 100_000
    assert published.lookup("no_such_map") == []


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match='Did you mean "2s3z"'):
        published.require("2s3x")
    with pytest.raises(UserError, match='Did you mean "mappo"'):
        published.require("3m", "mapo")
    with pytest.raises(UserError, match="No published figure of hatrpo on 2m_vs_1z"):
        published.require("2m_vs_1z", "hatrpo")
    assert published.require("3m", "mappo")


def test_ours_stand_beside_theirs_with_engine_and_steps_named():
    ours = pd.DataFrame(
        [
            {
                "algorithm": "mappo",
                "map": "3m",
                "steps": 50_000,
                "win_rate": 0.6,
                "engine": "skirmish 0.1.0",
                "seeds": 5,
            },
            {"algorithm": "amal", "map": "8m", "steps": 30_000, "win_rate": 0.9, "engine": float("nan")},
        ]
    )
    frame = published.beside(ours)
    assert frame["who"].tolist().count("ours") == 2 and set(frame["map"]) == {"3m", "8m"}
    theirs = frame[frame["who"].str.startswith("MATWM")].iloc[0]
    assert (theirs["win_rate"], theirs["steps"]) == (0.54, 50_000)
    assert theirs["caution"] == "played in StarCraft II, version not stated, ours in skirmish 0.1.0"
    yu = frame[frame["who"].str.startswith("Yu et al.")].iloc[0]
    assert yu["caution"].endswith("after 10,000,000 steps, 200 times our steps")
    assert frame.iloc[-1]["who"] == "ours"  # nobody else published AMAL
    others = published.beside(ours, algorithms=["marie"])
    assert set(others.loc[others["who"] != "ours", "algorithm"]) == {"MARIE"}
    assert others.iloc[-1]["caution"].startswith("played in") and "not recorded" in others.iloc[-1]["caution"]


def test_figures_of_the_same_engine_and_steps_need_no_caution():
    figure = published.lookup("2m_vs_1z", "MAPPO(FP)")[0]
    assert published.caution(figure, "StarCraft II 4.10", 10_000_000) == ""
    assert published.caution(figure, "StarCraft II 4.10", 40_000_000).endswith("1/4 of our steps")
