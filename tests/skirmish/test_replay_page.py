"""The page of a replay in a browser: it opens from a file without a network, plays, scrubs, and shows the result."""

import os
import re
import shutil

import pytest

from skirmish.env import StarCraft2Env
from skirmish.render import render

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def missing():
    """What a test in a browser lacks here, or ''."""
    if not os.access(CHROMIUM, os.X_OK):
        return f"there is no Chromium at {CHROMIUM}: apt-get install chromium"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "the package playwright is not installed: pip install -r requirements-test.txt"
    return ""


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; without one the tests are skipped, but under CI they fail."""
    lacking = missing()
    if lacking and os.environ.get("CI"):
        pytest.fail(lacking)
    if lacking:
        pytest.skip(lacking)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of SMAC's own script on maps that have all kinds of units between them, and the replays."""
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for map_name in ("3m", "MMM2", "2c_vs_64zg", "bane_vs_bane", "2s_vs_1sc", "3s5z", "6h_vs_8z"):
        env = StarCraft2Env(map_name=map_name, seed=5, heuristic_ai=True)
        env.reset()
        terminated = False
        while not terminated:
            _, terminated, _ = env.step([0] * env.n_agents)
        replay = env.replay()
        found[map_name] = (render(replay, "html", folder / f"{map_name}.html"), replay)
    return found


class Player:
    """A page under test: what it shows, and what went wrong in it."""

    def __init__(self, browser, path, fragment=""):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
        self.page = self.context.new_page()
        self.problems, self.requests = [], []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + fragment)
        self.page.wait_for_selector("body[data-ready=yes]")

    @property
    def time(self):
        return float(self.page.input_value("#scrub"))

    @property
    def step(self):
        return int(re.match(r"step (\d+) /", self.page.inner_text("#clock")).group(1))

    def wait_until_after(self, time):
        """Wait for the player to pass a time; it has ten seconds."""
        for _ in range(200):
            if self.time > time:
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"still at {self.time}, not after {time}")

    def field(self):
        return self.page.evaluate("document.getElementById('field').toDataURL()")

    def drawn(self):
        """How many different colours the field holds."""
        code = """() => { const c = document.getElementById('field');
            const copy = document.createElement('canvas'); copy.width = c.width; copy.height = c.height;
            const pen = copy.getContext('2d', { willReadFrequently: true }); pen.drawImage(c, 0, 0);
            const d = pen.getImageData(0, 0, c.width, c.height).data, seen = new Set();
            for (let k = 0; k < d.length; k += 4) seen.add((d[k] << 16) | (d[k + 1] << 8) | d[k + 2]);
            return seen.size; }"""
        return self.page.evaluate(code)


@pytest.fixture
def player(browser, request):
    """Opens pages and checks in the end that nothing was complained of or asked of a network."""
    opened = []

    def open_page(path, fragment="#step=0"):
        opened.append(Player(browser, path, fragment))
        return opened[-1]

    yield open_page
    for one in opened:
        assert one.problems == []
        assert [url for url in one.requests if not url.startswith(("file:", "data:"))] == []
        one.context.close()


@pytest.mark.parametrize("map_name", ["3m", "MMM2", "2c_vs_64zg", "bane_vs_bane", "2s_vs_1sc", "3s5z", "6h_vs_8z"])
def test_every_moment_can_be_drawn(player, pages, map_name):
    path, replay = pages[map_name]
    shown = player(path)
    for share in (0.0, 0.3, 0.5, 0.7, 0.9, 1.0):
        time = share * 8 * replay.n_steps
        shown.page.evaluate("(t) => { view.labels = view.ranges = true; view.chosen = 0; seek(t); }", time)
        assert shown.drawn() > 100


def test_it_plays_by_itself_and_stops_with_the_result(player, pages):
    path, replay = pages["3m"]
    shown = player(path, "")
    assert shown.page.get_attribute("#play", "aria-label") == "Pause"
    shown.page.select_option("#speed", "8")
    shown.page.wait_for_selector("#banner.shown", timeout=20000)
    assert shown.step == replay.n_steps
    assert shown.page.get_attribute("#play", "aria-label") == "Play"
    banner = shown.page.inner_text("#banner")
    assert ("Victory" if replay.result["won"] else "Defeat") in banner
    assert f"return {replay.result['return']:.2f}" in banner


def test_play_and_pause_by_button_and_space(player, pages):
    shown = player(pages["3m"][0])
    assert shown.time == 0
    shown.page.click("#play")
    shown.wait_until_after(8)
    shown.page.click("#play")
    stopped = shown.time
    shown.page.wait_for_timeout(150)
    assert shown.time == stopped
    shown.page.focus("body")
    shown.page.keyboard.press("Space")
    shown.wait_until_after(stopped)


def test_scrubbing_shows_another_moment(player, pages):
    path, replay = pages["3m"]
    shown = player(path)
    before = shown.field()
    box = shown.page.locator("#scrub").bounding_box()
    shown.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert shown.time == pytest.approx(4 * replay.n_steps, rel=0.05)
    assert shown.step == pytest.approx(replay.n_steps / 2, abs=1)
    assert shown.field() != before
    clock = shown.page.inner_text("#clock")
    assert f"return {replay.reward[: shown.step].sum():.2f}" in clock.replace("\xa0", " ")


def test_keys(player, pages):
    path, replay = pages["3m"]
    shown = player(path)

    def after(*keys):
        for key in keys:
            shown.page.keyboard.press(key)
        return shown.time

    assert after("ArrowRight", "ArrowRight", "ArrowRight") == 24
    assert after("ArrowLeft") == 16
    assert after(".") == 18
    assert after(",", ",") == 14
    assert after("ArrowLeft") == 8
    assert after("End") == 8 * replay.n_steps
    assert after("ArrowRight") == 8 * replay.n_steps
    assert after("Home") == 0
    after("ArrowUp", "ArrowUp")
    assert shown.page.input_value("#speed") == "4"
    after("n")
    assert not shown.page.is_checked("#labels")


def test_a_unit_can_be_followed(player, pages):
    path, replay = pages["MMM2"]
    shown = player(path, "#step=10")
    assert shown.step == 10
    shown.page.click("#side0 .chip:last-child")
    tip = shown.page.inner_text("#tip")
    assert tip.startswith("Medivac (agent 9)")
    assert "energy" in tip
    shown.page.keyboard.press("Escape")
    assert not shown.page.is_visible("#tip")
    assert shown.page.locator("#side1 .chip").count() == replay.map["n_enemies"]


def test_the_armies_are_counted(player, pages):
    path, replay = pages["3m"]
    shown = player(path, f"#step={replay.n_steps}")
    n = replay.n_agents
    assert shown.page.inner_text("#count0") == str(n - replay.result["dead_allies"])
    assert shown.page.inner_text("#count1") == str(n - replay.result["dead_enemies"])
    assert shown.page.locator(".chip.dead").count() == replay.result["dead_allies"] + replay.result["dead_enemies"]


def test_a_map_may_be_called_anything(player, tmp_path, pages):
    from dataclasses import replace

    replay = pages["3m"][1]
    odd = replace(replay, map={**replay.map, "name": "</script><b>&$x"})
    shown = player(render(odd, "html", tmp_path / "odd.html"))
    assert shown.page.inner_text("#title").startswith("</script><b>&$x")
    assert shown.page.title().startswith("</script><b>&$x, episode 0")


def test_damage_is_told_on_the_page(browser, pages, tmp_path):
    text = pages["3m"][0].read_text()
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace('type="text/plain">H4sI', 'type="text/plain">AAAA'))
    page = browser.new_page()
    page.goto(broken.as_uri())
    assert page.locator("#problem").inner_text().startswith("This replay cannot be shown:")
