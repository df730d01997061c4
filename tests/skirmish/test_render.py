"""Films and pictures of replays: the right moments in the right place, and clear words for what cannot be."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageSequence

from skirmish import render as rendering
from skirmish.env import StarCraft2Env
from skirmish.render import RenderError, main, render
from skirmish.render_film import Painter
from skirmish.render_scene import Event, Scene, view_box
from skirmish.render_shapes import SHAPES, TEAMS
from skirmish.render_terrain import paint, png
from skirmish.replay import load
from skirmish.units import UNIT_NAMES


def episode(map_name, seed=3, steps=500, **arguments):
    """A replay of SMAC's own script."""
    env = StarCraft2Env(map_name=map_name, seed=seed, heuristic_ai=True, **arguments)
    env.reset()
    terminated = False
    while not terminated and steps:
        _, terminated, _ = env.step([0] * env.n_agents)
        steps -= 1
    return env.replay()


@pytest.fixture(scope="module")
def marines():
    return episode("3m")


@pytest.fixture(scope="module")
def medics():
    return episode("MMM")


class TestScene:
    def test_every_hit_and_every_death_is_shown(self, marines):
        events = Scene(marines).events
        assert sum(event.kind == "shot" for event in events) == np.count_nonzero(marines.hits)
        assert sum(event.kind == "death" for event in events) == np.count_nonzero(~marines.alive[-1])

    def test_shots_go_at_the_other_side_and_at_the_living(self, marines):
        for event in Scene(marines).events:
            if event.kind == "shot":
                assert (event.unit < 3) != (event.target < 3)
                assert marines.alive[np.searchsorted(marines.loops, event.loop), event.target]

    def test_the_marines_deadly_hits_come_before_the_deaths(self, marines):
        scene = Scene(marines)
        for death in (event for event in scene.events if event.kind == "death"):
            assert any(e.kind == "shot" and e.target == death.unit and e.loop <= death.loop for e in scene.events)

    def test_a_missile_flies_as_long_as_its_speed_says(self):
        replay = episode("2s_vs_1sc", steps=60)
        scene = Scene(replay)
        missiles = [event for event in scene.events if event.kind == "missile" and event.unit < 2]
        assert missiles
        for event in missiles:
            frame = int(np.searchsorted(replay.loops, event.loop)) + 1
            way = np.hypot(
                replay.x[frame, event.unit] - replay.x[frame, 2], replay.y[frame, event.unit] - replay.y[frame, 2]
            )
            assert event.loops == pytest.approx(max(2.0, way / 18.75 * 16), abs=0.01)

    def test_medivacs_heal_their_own(self, medics):
        heals = Scene(medics).heals
        assert heals
        names = [unit["type"] for unit in medics.units]
        for _, healer, patient in heals:
            assert names[healer] == "Medivac"
            assert (healer < medics.n_agents) == (patient < medics.n_agents)

    def test_banelings_end_in_a_blast(self):
        replay = episode("so_many_baneling")
        scene = Scene(replay)
        dead = {
            unit for unit, look in enumerate(replay.units) if look["type"] == "Baneling" and not replay.alive[-1, unit]
        }
        assert dead
        assert {event.unit for event in scene.events if event.kind == "blast"} == dead

    def test_colossi_burn(self):
        scene = Scene(episode("2c_vs_64zg", steps=15))
        assert {event.kind for event in scene.events if event.unit < 2} >= {"beam"}

    def test_between_frames_units_are_between_their_places(self, marines):
        scene = Scene(marines)
        half, quarter = scene.at(21.0), scene.at(20.5)
        np.testing.assert_allclose(half.x, (marines.x[10] + marines.x[11]) / 2, rtol=1e-6)
        np.testing.assert_allclose(quarter.health, 0.75 * marines.health[10] + 0.25 * marines.health[11], rtol=1e-6)
        np.testing.assert_array_equal(scene.at(20.0).x, marines.x[10])
        assert scene.at(1e6).frame == marines.n_frames - 1

    def test_turning_takes_the_shorter_way(self, marines):
        facing = marines.facing.copy()
        facing[0], facing[1] = 3.1, -3.1
        turned = Scene(replace(marines, facing=facing)).at(1.0).facing
        np.testing.assert_allclose(np.abs(turned), np.pi, atol=0.01)

    def test_the_result_in_words(self, marines):
        assert Scene(marines).headline() == ("Victory" if marines.result["won"] else "Defeat")
        cut = replace(marines, result={**marines.result, "finished": False})
        assert Scene(cut).headline() == "Not finished"
        late = replace(marines, result={**marines.result, "won": False, "timeout": True})
        assert Scene(late).headline() == "Time is up"

    @pytest.mark.parametrize("map_name", ["3m", "corridor", "2c_vs_64zg"])
    def test_all_units_are_in_view(self, map_name):
        replay = episode(map_name, steps=8)
        left, bottom, right, top = view_box(replay)
        assert 0 <= left <= replay.x.min() <= replay.x.max() <= right <= replay.pathing.shape[0]
        assert 0 <= bottom <= replay.y.min() <= replay.y.max() <= top <= replay.pathing.shape[1]

    def test_an_event_has_a_beginning_and_an_end(self):
        event = Event(10.0, 4.0, "shot", 0, 1)
        assert [event.progress(time) for time in (9.9, 10.0, 12.0, 14.0)] == [None, 0.0, 0.5, None]


class TestPictures:
    def test_every_unit_type_has_a_shape_of_its_own(self):
        assert set(SHAPES) == set(UNIT_NAMES)
        assert len({str(shape) for shape in SHAPES.values()}) == len(UNIT_NAMES)

    def test_the_ground_shows_where_one_can_walk(self, marines):
        replay = episode("corridor", steps=1)
        image = paint(replay, (0, 0, 32, 32), 8)
        centres = image[4::8, 4::8].astype(int).sum(axis=2)[::-1].T  # [x, y]
        inner = np.lib.stride_tricks.sliding_window_view(np.pad(replay.pathing, 1), (3, 3))
        assert centres[inner.all(axis=(2, 3))].min() > centres[~inner.any(axis=(2, 3))].max()

    def test_the_library_writes_png_that_others_read(self, tmp_path):
        image = np.random.default_rng(0).integers(0, 256, (9, 5, 3), dtype=np.uint8)
        (tmp_path / "a.png").write_bytes(png(image))
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), image)
        signature, (length,) = png(image)[:8], struct.unpack(">I", png(image)[8:12])
        assert (signature, length) == (b"\x89PNG\r\n\x1a\n", 13)
        assert zlib.crc32(png(image)[12:29]) == struct.unpack(">I", png(image)[29:33])[0]

    def test_units_are_drawn_where_they_stand_in_their_teams_colour(self, marines):
        scene = Scene(marines)
        painter = Painter(scene, 640)
        pixels = np.asarray(painter.image(0.0)).astype(int)
        cell = painter.width / (scene.box[2] - scene.box[0])
        for unit, team in ((0, "ally"), (2, "ally"), (3, "enemy"), (5, "enemy")):
            column = int((marines.x[0, unit] - scene.box[0]) * cell)
            row = 40 + int((scene.box[3] - marines.y[0, unit]) * cell)
            near = pixels[row - 12 : row + 13, column - 12 : column + 13].reshape(-1, 3)
            body = [int(TEAMS[team]["body"][at : at + 2], 16) for at in (1, 3, 5)]
            assert np.abs(near - body).sum(axis=1).min() < 12, f"unit {unit}"

    def test_a_film_shows_the_whole_battle_and_then_the_result(self, marines, tmp_path):
        path = render(marines, "gif", tmp_path / "new" / "a.gif", width=420, speed=4)
        film = Image.open(path)
        assert film.size[0] == 420
        shown = sum(frame.info["duration"] for frame in ImageSequence.Iterator(film)) / 1000
        assert shown == pytest.approx(marines.loops[-1] / 22.4 / 4 + 1.6, abs=0.2)
        last = film.n_frames - 1
        film.seek(last)
        end = film.convert("RGB")
        film.seek(0)
        assert np.asarray(end).tolist() != np.asarray(film.convert("RGB")).tolist()
        assert [entry.name for entry in path.parent.iterdir()] == ["a.gif"]

    def test_mp4(self, marines, tmp_path):
        ffmpeg = pytest.importorskip("imageio_ffmpeg")
        path = render(marines, "mp4", tmp_path / "a.mp4", width=420, speed=8)
        frames, seconds = ffmpeg.count_frames_and_secs(str(path))
        assert frames == pytest.approx(30 * seconds, abs=1)
        assert seconds == pytest.approx(marines.loops[-1] / 22.4 / 8 + 1.6, abs=0.1)


class TestCommand:
    def test_it_writes_beside_the_replay(self, marines, tmp_path, capsys):
        file = marines.save(tmp_path / "a.npz")
        assert main([str(file), "--to", "png", "--step", "5", "--width", "500"]) == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / "a.png")
        assert Image.open(tmp_path / "a.png").size[0] == 500
        assert main([str(file), str(file), "--to", "html"]) == 0
        assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--to", "htm"], 'no format "htm". Did you mean "html"?'),
            (["--to", "gif", "--width", "7"], "at least 420 and at most 3840 pixels, not 7"),
            (["--to", "gif", "--speed", "0"], "speed must be at least 0.05"),
            (["--to", "png", "--step", "999"], "has the steps 0 to"),
            (["--out", "x", "second.npz"], "--out names one file, but there are 2 replays"),
        ],
    )
    def test_mistakes_are_told_in_a_sentence(self, arguments, words, marines, tmp_path, capsys):
        file = marines.save(tmp_path / "a.npz")
        assert main([str(file), *arguments]) == 2
        assert words in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]

    def test_a_missing_replay_too(self, tmp_path, capsys):
        assert main([str(tmp_path / "none.npz")]) == 2
        assert "There is no replay" in capsys.readouterr().err

    @pytest.mark.parametrize(("to", "module"), [("mp4", "imageio_ffmpeg"), ("gif", "PIL")])
    def test_a_missing_package_is_named_with_its_line(self, to, module, marines, tmp_path, monkeypatch):
        import importlib.util

        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find(name))
        with pytest.raises(ImportError, match=r"is not installed: python -m pip install '"):
            render(marines, to, tmp_path / "a")
        assert list(tmp_path.iterdir()) == []

    def test_a_failure_leaves_an_earlier_file_alone(self, marines, tmp_path, monkeypatch):
        target = tmp_path / "a.html"
        target.write_text("earlier")

        def fail(scene):
            raise RuntimeError("boom")

        monkeypatch.setattr(rendering, "page", fail)
        with pytest.raises(RuntimeError, match="boom"):
            render(marines, "html", target)
        assert target.read_text() == "earlier"
        assert [path.name for path in tmp_path.iterdir()] == ["a.html"]

    def test_errors_are_values(self, marines, tmp_path):
        with pytest.raises(RenderError, match="Known: html, gif, mp4, png"):
            render(marines, "avi", tmp_path / "a.avi")

    def test_a_saved_replay_looks_like_the_battle_itself(self, marines, tmp_path):
        loaded = load(marines.save(tmp_path / "a.npz"))
        first, second = (np.asarray(Painter(Scene(one), 420).image(80.0)).astype(int) for one in (marines, loaded))
        assert np.abs(first - second).mean() < 0.5
