"""Conditions on runs."""

import pytest

from analysis.filters import Condition, parse
from utils.errors import UserError


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("env_args.map_name=3m", Condition("env_args.map_name", "=", "3m")),
        ("lr>0.0005", Condition("lr", ">", 0.0005)),
        ("lr > 5e-4", Condition("lr", ">", 0.0005)),
        ("seed==1", Condition("seed", "=", 1)),
        ("use_cuda!=False", Condition("use_cuda", "!=", False)),
        ("resume=null", Condition("resume", "=", None)),
        ("hidden_layers=[64, 64]", Condition("hidden_layers", "=", [64, 64])),
        ("max(return_mean)>=19.5", Condition("return_mean", ">=", 19.5, "max")),
        ("name~^m.ppo$", Condition("name", "~", "^m.ppo$")),
        ("started>=2026-11-21", Condition("started", ">=", "2026-11-21")),
    ],
)
def test_conditions_are_read(text, condition):
    assert parse(text) == condition


@pytest.mark.parametrize("text", ["", "lr", "=3", "lr 3"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(UserError, match="is no condition"):
        parse(text)


def test_a_broken_regular_expression_is_refused():
    with pytest.raises(UserError, match="no regular expression"):
        parse("name~(")


@pytest.mark.parametrize(
    ("text", "found", "holds"),
    [
        ("lr>0.0005", 0.001, True),
        ("lr>0.0005", 0.0005, False),
        ("lr>0.0005", None, False),
        ("lr>0.0005", float("nan"), False),
        ("lr!=1", None, True),
        ("lr=null", None, True),
        ("difficulty=7", "7", True),
        ("difficulty=7", 7, True),
        ("difficulty!=7", "7", False),
        ("flag=True", True, True),
        ("flag=1", True, False),
        ("layers>3", [64], False),
        ("name~ppo", "mappo", True),
        ("started=2026-11-21", "2026-11-21T02:52:17.2", True),
        ("started>2026-11-21", "2026-11-21T02:52:17.2", False),
        ("started>=2026-11-21", "2026-11-21T02:52:17.2", True),
        ("started<2026-11-21 03:00", "2026-11-21T02:52:17.2", True),
    ],
)
def test_conditions_hold_or_not(text, found, holds):
    assert parse(text).holds(found) is holds
