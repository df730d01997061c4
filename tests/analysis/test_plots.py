"""Figures: the numbers in their axes, what tells algorithms apart, and the files they become."""

import itertools

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from analysis import pictures, plots, plots_published, plots_suite
from analysis.plot_style import COLOURS, INK, figure_names, looks, steps_text
from analysis.study import gather


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def line(panel, label):
    """The line of that label in a panel."""
    (found,) = [each for each in panel.get_lines() if each.get_label() == label]
    return found


def test_a_learning_curve_is_the_mean_of_its_runs(make_records):
    study = gather(make_records(seeds=4))
    figure = plots.learning_curves(study)
    assert [panel.get_title() for panel in figure.axes] == ["3m", "8m"]
    drawn = line(figure.axes[1], "mappo")
    expected = np.mean([np.interp(drawn.get_xdata(), r.steps, r.values) for r in study.group("mappo", "8m")], axis=0)
    np.testing.assert_allclose(drawn.get_ydata(), expected)
    assert to_hex(drawn.get_color()).upper() == "#0072B2"


def test_the_band_holds_the_mean_and_lies_within_the_runs(make_records):
    study = gather(make_records(algorithms=["amal"], maps=["3m"], seeds=5))
    (panel,) = plots.learning_curves(study).axes
    (band,) = panel.collections
    low, high = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
    values = np.concatenate([run.values for run in study.runs])
    assert values.min() <= low < high <= values.max()


def test_one_seed_has_no_band(make_records):
    study = gather(make_records(algorithms=["amal"], maps=["3m"], seeds=1))
    (panel,) = plots.learning_curves(study).axes
    assert len(panel.collections) == 0
    assert len(line(panel, "amal").get_xdata()) > 10


def test_of_many_algorithms_the_means_are_drawn_alone(make_records):
    names = [f"a{i}" for i in range(plots.CROWDED + 1)]
    records = make_records(algorithms=names, maps=["3m"], seeds=2)
    (panel,) = plots.learning_curves(gather(records)).axes
    assert len(panel.collections) == 0
    assert sum(len(each.get_xdata()) > 10 for each in panel.get_lines()) == len(names)


def test_a_curve_is_solid_only_as_far_as_every_run_went(make_records):
    records = make_records(algorithms=["amal"], maps=["3m"], seeds=3)
    short = records.runs["run_id"][0]
    records.metrics = records.metrics[(records.metrics["run_id"] != short) | (records.metrics["step"] <= 20_000)]
    (panel,) = plots.learning_curves(gather(records)).axes
    assert line(panel, "amal").get_xdata().max() <= 20_000
    dotted = [each for each in panel.get_lines() if each.get_linestyle() == ":"]
    assert max(each.get_xdata().max() for each in dotted if len(each.get_xdata())) == 50_000


def test_bars_end_at_the_median_and_are_hatched_where_there_is_none(make_records):
    study = gather(make_records(algorithms=["amal", "iql"], maps=["8m"], seeds=5))
    (panel,) = plots.sample_efficiency(study).axes
    reached, never = panel.patches
    assert reached.get_width() == np.median([run.reach.step for run in study.group("amal", "8m")])
    assert reached.get_hatch() is None
    assert never.get_hatch() is not None
    assert never.get_width() == 50_000
    arrows = [each for each in panel.get_lines() if each.get_marker() == ">"]
    assert sum(len(each.get_xdata()) for each in arrows) == sum(run.reach.censored for run in study.runs) > 0


def test_final_values_are_means_in_their_rows(make_records):
    study = gather(make_records(seeds=3))
    (panel,) = plots.final_values(study).axes
    assert [text.get_text() for text in panel.get_yticklabels()] == ["3m", "8m"]
    drawn = [each for each in panel.get_lines() if each.get_label() == "amal"]
    expected = [study.finals("amal")[m].mean() for m in ("3m", "8m")]
    assert [each.get_xdata()[0] for each in drawn] == pytest.approx(expected)


def test_costs_have_a_column_for_each_kind_known(make_records):
    study = gather(make_records(seeds=2))
    assert [panel.get_xlabel() for panel in plots.cost(study).axes] == ["seconds", "CPU-seconds", "peak memory, MiB"]
    nothing = gather(make_records(seeds=2, wall_s=None, cpu_s=None, peak_memory_mib=None, gpu_memory_mib=None))
    assert plots.cost(nothing) is None


def test_a_profile_falls_from_all_to_none(make_records):
    study = gather(make_records(seeds=3))
    (panel,) = plots_suite.performance_profiles(study).axes
    heights = line(panel, "amal").get_ydata()
    finals = np.concatenate(list(study.finals("amal").values()))
    assert heights[50] == pytest.approx(np.mean(finals > 0.5))
    assert heights[-1] == 0
    assert (np.diff(heights) <= 0).all()


def test_all_maps_together_need_two_maps(make_records):
    assert plots_suite.suite_curve(gather(make_records(maps=["3m"]))) is None
    (panel,) = plots_suite.suite_curve(gather(make_records())).axes
    assert line(panel, "amal").get_ydata()[-1] > 0.9


def test_improvement_needs_a_pair(make_records):
    assert plots_suite.improvement(gather(make_records(algorithms=["amal"]))) is None
    (panel,) = plots_suite.improvement(gather(make_records())).axes
    assert len(panel.get_yticklabels()) == 1


def test_published_points_lie_at_their_steps(make_records):
    study = gather(make_records(maps=["3m"]))
    (panel,) = plots_published.beside_published(study).axes
    hollow = [each for each in panel.get_lines() if each.get_markerfacecolor() == "none"]
    assert {each.get_xdata()[0] for each in hollow} >= {50_000, 100_000}
    assert plots_published.beside_published(gather(make_records(maps=["a_map_of_ours"]))) is None


def test_no_two_algorithms_look_alike():
    names = ["amal", "mappo", "qmix", *(f"x{number}" for number in range(40))]
    seen = list(looks(names).values())
    assert len({(look.colour, look.marker, str(look.line)) for look in seen}) == len(names)
    assert looks(["mappo"])["mappo"] == looks(["amal", "mappo", "zzz"])["mappo"]


def test_the_first_algorithms_differ_in_grey_and_in_shape():
    first = list(looks([f"x{number}" for number in range(4)]).values())
    for one, other in itertools.combinations(first, 2):
        assert one.marker != other.marker
        assert str(one.line) != str(other.line)
    assert len(set(COLOURS)) == len(COLOURS)


def test_every_figure_becomes_png_pdf_and_an_svg_of_the_pages_colour(make_records, tmp_path):
    names = []
    for picture in pictures.draw(gather(make_records(seeds=2))):
        names.append(picture.name)
        png, pdf = picture.save(tmp_path)
        assert png.read_bytes().startswith(b"\x89PNG")
        assert pdf.read_bytes().startswith(b"%PDF")
        svg = picture.svg()
        assert INK not in svg
        assert "currentColor" in svg
        assert svg.count('id="') == svg.count(f'id="{picture.name}-')
        assert "http://www.w3.org/1999/xlink" not in svg.split(">", 1)[1]
    assert names == ["learning_curves", "suite_curve", "sample_efficiency", "final", "profiles", "improvement", "cost"]


def test_the_same_data_give_the_same_bytes(make_records, tmp_path):
    files = []
    for folder in ("a", "b"):
        picture = next(pictures.draw(gather(make_records(seeds=2))))
        files.append([path.read_bytes() for path in picture.save(tmp_path / folder)])
        files[-1].append(picture.svg().encode())
    assert files[0] == files[1]


def test_steps_in_words():
    assert [steps_text(value) for value in (0, 500, 20_000, 1_500_000)] == ["0", "500", "20k", "1.5M"]


def test_long_variants_bear_their_values_and_the_note_their_keys():
    settings = ("batch_size_run=8 critic_lr=0.0003 hidden=[64, 64]", "batch_size_run=16 critic_lr=0.001 hidden=[8]")
    long = [f"mappo {each}" for each in settings]
    names, note = figure_names([*long, "amal lr=0.1", "vdn"])
    short = ["mappo 8/0.0003/[64, 64]", "mappo 16/0.001/[8]", "amal lr=0.1", "vdn"]
    assert list(names.values()) == short
    assert note == "mappo batch_size_run/critic_lr/hidden"
    assert figure_names(["vdn"]) == ({"vdn": "vdn"}, "")


def test_variants_of_the_same_values_keep_their_whole_names():
    names = [f"mappo {key}=0.0003 entropy_coef=0.01 batch_size_run=8" for key in ("lr", "critic_lr")]
    assert figure_names(names) == ({name: name for name in names}, "")
