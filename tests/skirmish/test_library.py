"""The examples of docs/skirmish-library.md run, and its table names every correction."""

import re
from pathlib import Path

import pytest

from skirmish.options import CORRECTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "skirmish-library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number):
    for interface, module in (("parallel_env", "pettingzoo"), ("vector_env", "gymnasium")):
        if interface in EXAMPLES[number]:
            pytest.importorskip(module)
    exec(compile(EXAMPLES[number], f"example {number}", "exec"), {})


def test_every_interface_has_an_example():
    text = "\n".join(EXAMPLES)
    for name in ("StarCraft2Env", "Battles", "DictEnv", "parallel_env", "vector_env"):
        assert name in text


def test_the_table_has_a_row_for_every_correction():
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| [^|]+ \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) - 1 == len(CORRECTIONS)
