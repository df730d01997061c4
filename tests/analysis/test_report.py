"""The report: one page that needs nothing else, in a real browser; and what it says about its runs."""

import os
import re
import shutil
from pathlib import Path

import pytest

from analysis import report
from analysis.report import Options, write
from analysis.study import gather
from utils.errors import UserError

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory, records_maker):
    """The report of a small study with problems, published results and odd names; its path."""
    records = records_maker(algorithms=["amal", "mappo", "<b>odd & co</b>"], maps=["3m", "8m"], seeds=3)
    records.problems.append("Run 3m/amal/7: metrics.json is broken JSON; it is left out.")
    options = Options(published=True, command="python3 src/plot_results.py --exp_dir results/ --report")
    return write(records, tmp_path_factory.mktemp("report"), options)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    if shutil.which("chromium") is None and not Path(CHROMIUM).exists():
        reason = "there is no chromium; apt-get install -y chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium") or CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def test_the_page_needs_no_other_file_and_no_network(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "<script" not in text


def test_the_page_has_everything(page):
    text = page.read_text(encoding="utf-8")
    sections = re.findall(r'<section id="(\w+)">', text)
    assert sections[0] == "summary"
    assert set(sections) >= {"figures", "details", "steps", "costs", "pairs", "improvement", "published", "settings"}
    assert set(sections) >= {"runs", "made"}
    figures = re.findall(r'<figure id="figure-(\w+)">', text)
    assert {"learning_curves", "sample_efficiency", "final", "profiles", "cost", "published"} <= set(figures)
    assert text.count("<svg") == len(figures)
    assert "metrics.json is broken JSON" in text
    assert "python3 src/plot_results.py --exp_dir results/ --report" in text
    assert "skirmish 0.1.0 (embedded; not StarCraft II)" in text
    assert "test win rate of 32 greedy episodes" in text
    assert "3m/mappo/2" in text
    assert "0.0005" in text  # of the learning rate, a setting that differs


def test_names_from_the_records_are_text_not_markup(page):
    text = page.read_text(encoding="utf-8")
    assert "<b>odd" not in text
    assert "&lt;b&gt;odd &amp; co&lt;/b&gt;" in text


def test_ids_are_unique(page):
    ids = re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8"))
    assert len(ids) == len(set(ids))


def test_files_beside_the_page(page):
    names = {str(path.relative_to(page.parent)) for path in page.parent.rglob("*") if path.is_file()}
    assert {"tables.md", "tables.tex", "summary.csv", "runs.csv", "figures/final.png", "figures/final.pdf"} <= names
    assert (page.parent / "tables.tex").read_text().count(r"\begin{table}") == 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(page, browser, scheme):
    tab = browser.new_page(viewport={"width": 1100, "height": 1400}, color_scheme=scheme)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    assert said == []
    assert asked == [page.as_uri()]
    boxes = tab.evaluate("[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().toJSON())")
    assert len(boxes) >= 8
    assert all(box["width"] > 250 and box["height"] > 60 for box in boxes)
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    marked = "[...document.querySelectorAll('body, figure svg g')]"
    ink = set(tab.evaluate(f"{marked}.map(e => getComputedStyle(e).color)"))
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ink == {"rgb(230, 232, 234)" if scheme == "dark" else "rgb(29, 33, 38)"}
    assert paper == ("rgb(21, 24, 27)" if scheme == "dark" else "rgb(255, 255, 255)")
    tab.close()


def test_every_link_of_the_page_leads_somewhere(page, browser):
    tab = browser.new_page()
    tab.goto(page.as_uri())
    missing = "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    assert tab.evaluate(missing) == 0
    missing = "u => !document.querySelector(u.getAttribute('xlink:href'))"
    assert tab.evaluate(f"[...document.querySelectorAll('svg use')].filter({missing}).length") == 0
    tab.close()


def test_the_page_prints_on_paper(page, browser):
    tab = browser.new_page(viewport={"width": 700, "height": 1000})
    tab.goto(page.as_uri())
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert len(tab.pdf(format="A4")) > 20_000
    tab.close()


def test_settings_name_the_value_of_each_group(make_records):
    text = report._settings(gather(make_records(seeds=2)))
    assert "lr" in text
    assert "0.0005 (amal); 0.001 (mappo)" in text
    assert "All runs had the same configuration" in report._settings(gather(make_records(algorithms=["amal"])))


def test_a_page_of_one_run(make_records, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.pictures.draw", lambda *_: iter(()))
    page = write(make_records(algorithms=["mappo"], maps=["3m"], seeds=1), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "mappo on 3m" in text
    assert "no interval can be given" in text


def test_nothing_to_report_is_a_sentence(make_records, tmp_path):
    with pytest.raises(UserError, match="No run has the metric"):
        write(make_records(), tmp_path / "x", Options(metric="nonsense"))
    assert not (tmp_path / "x").exists()


def test_numbers_and_lists_in_words():
    assert report._numbers([1, 2, 3, 5, 8, 9]) == "1 to 3, 5 and 8, 9"
    assert report._listed(["a"]) == "a"
    assert report._listed(["a", "b", "c"]) == "a, b and c"
    assert report._listed([str(n) for n in range(10)], limit=2) == "0, 1 and 8 more"
