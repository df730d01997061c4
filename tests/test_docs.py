"""The documentation: links lead somewhere, the README's first commands are whole, every key has its words."""

import re
from pathlib import Path

import pytest

from configuration import CONFIG_DIR, load_yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "results" / "README.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_the_readme_begins_with_two_commands_that_set_up_everything():
    block = re.search(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    train, test = block.group(1).splitlines()
    setup = "python3 -m venv .venv && . .venv/bin/activate && bash install_dependencies.sh"
    assert train == f"{setup} && python3 src/main.py --config=amal --env-config=sc2 with env_args.map_name=3m"
    assert test == f"{setup} --test && python3 -m pytest"


def test_every_requirement_is_pinned_exactly():
    for path in sorted(ROOT.glob("requirements*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            requirement = line.partition("#")[0].strip()
            assert not requirement or re.fullmatch(r"[\w.-]+==[\w.]+", requirement), f"{path.name}: {line}"


def test_running_md_names_every_key_that_ends_a_run():
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    keys = load_yaml(CONFIG_DIR / "default.yaml")
    for key in ("t_max", "max_episodes", "max_minutes", "stop_win_rate", "stop_evaluations"):
        assert key in keys
        assert f"`{key}`" in text
