"""How close the battles are to the real game: the tables of docs/fidelity.md.

    cd src && python -m skirmish.fidelity --episodes 1024 --json ../results/reference/fidelity.json

plays policies that need no training and prints Markdown: near-random play beside the real game's, untrained networks
and fixed priorities beside the real game's untrained networks, and scripts. `--windows` adds the means of the first
10,000 steps of learning runs, read from sacred folders of this project or of PyMARL.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from skirmish.battles import Battles
from skirmish.maps import MAP_NAMES
from skirmish.playing import STATISTICS, Outcomes, Script, play
from skirmish.policies import EpsilonGreedy, Kite, Policy, Priority, UniformRandom, UntrainedNetworks, priorities
from skirmish.reference import Sample, references

NETWORKS_SHARE = 8
"""Episodes that one untrained network plays: networks differ far more than the episodes of one."""
EPSILON = (0.81, 1.0)
"""What epsilon goes through in the first 10,000 of 50,000 steps of its fall from 1 to 0.05."""
WINDOW = 10_000
PRIORITY_EPISODES = 128
KITING_MAPS = ("3s_vs_3z", "3s_vs_5z")
METRICS = ("ep_length_mean", "return_mean", "dead_allies_mean", "dead_enemies_mean", "battle_won_mean")

Table = dict[str, dict[str, Sample]]
"""Samples by policy and statistic."""


def summary(outcomes: Outcomes) -> dict[str, Sample]:
    """A sample for each statistic."""
    return {name: _sample(values) for name, values in outcomes.statistics().items()}


def measure(map_name: str, episodes: int, seed: int = 0) -> dict[str, Any]:
    """Play one map with all policies: `random`, `window`, `untrained`, `nearest` and `priorities` by statistic.

    `untrained_networks` is [networks, statistics]; `priority_ranges` lists (least, greatest) mean by statistic.
    """
    n_networks = max(episodes // NETWORKS_SHARE, 1)
    episodes = n_networks * NETWORKS_SHARE
    battles = Battles(map_name, episodes, seed)

    def networks(offset: int) -> UntrainedNetworks:
        return UntrainedNetworks(
            n_networks, battles.n_agents, battles.obs_size, battles.n_actions, seed=1000 * (seed + 1) + offset
        )

    epsilon = np.random.default_rng(seed).uniform(*EPSILON, episodes)
    policies: dict[str, Policy] = {
        "random": UniformRandom(seed),
        "window": EpsilonGreedy(networks(1), epsilon, seed),
        "untrained": networks(2),
    }
    played = {name: play(battles, policy) for name, policy in policies.items()}
    script = Battles(map_name, episodes, seed, heuristic_ai=True)
    played["nearest"] = play(script, Script())
    by_network = np.stack([v.reshape(n_networks, -1).mean(axis=1) for v in played["untrained"].statistics().values()])
    few = Battles(map_name, min(episodes, PRIORITY_EPISODES), seed + 1)
    fixed = {
        name: summary(play(few, Priority(order, few.n_actions))) for name, order in priorities(few.n_enemies).items()
    }
    result: dict[str, Any] = {name: summary(outcomes) for name, outcomes in played.items()}
    result["priorities"] = fixed
    result["untrained_networks"] = by_network.T
    if map_name in KITING_MAPS:
        result["kiting"] = {str(moves): summary(play(battles, Kite(moves))) for moves in (3, 4, 5)}
        result["standing"] = fixed["attack first, stop"]
    return result


def read_windows(folder: Path) -> dict[str, dict[str, Sample]]:
    """Means of the first `WINDOW` steps of the runs below a folder, by map and statistic; deviations over runs."""
    runs: dict[str, list[list[float]]] = {}
    for path in sorted(folder.rglob("metrics.json")):
        config = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        metrics = json.loads(path.read_text(encoding="utf-8"))
        row = []
        for name in METRICS:
            entry = metrics.get(name, {"steps": [], "values": []})
            row.append([v for step, v in zip(entry["steps"], entry["values"]) if step <= 1.02 * WINDOW])
        if all(row):
            runs.setdefault(config["env_args"]["map_name"], []).append([float(np.mean(values)) for values in row])
    return {
        name: dict(zip(STATISTICS, (_sample(column) for column in np.array(rows).T))) for name, rows in runs.items()
    }


def near_random_table(measured: dict[str, dict[str, Any]], windows: dict[str, dict[str, Sample]]) -> str:
    """Near-random play beside the real game's."""
    lines = [
        "| map | statistic | random | real random (n) | untrained, ε 1-.81 | learning, ε 1-.81 (n) | real (n) | band |"
        " random: verdict | learning: verdict |",
        "|" + "---|" * 10,
    ]
    for name, reference in references().items():
        for statistic in STATISTICS if name in measured else ():
            ours, learning = measured[name], windows.get(name)
            band = reference.band(statistic)
            cells = [
                name,
                statistic.replace("_", " "),
                _short(ours["random"][statistic]),
                _known(reference.single.get(statistic)),
                _short(ours["window"][statistic]),
                _known(learning[statistic] if learning else None),
                _known(reference.window.get(statistic)),
                f"{band[0]:.2f} to {band[1]:.2f}" if band else "-",
                reference.verdict(statistic, ours["random"][statistic]) or "-",
                (reference.verdict(statistic, learning[statistic]) if learning else "") or "-",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def untrained_table(measured: dict[str, dict[str, Any]]) -> str:
    """Untrained networks and fixed priorities beside the real game's untrained networks."""
    lines = [
        "| map | statistic | networks: mean | middle 80 % | range | priorities: range | real: mean (n) | range |"
        " real ones within our range |",
        "|" + "---|" * 9,
    ]
    for name, reference in references().items():
        if name not in measured:
            continue
        for index, statistic in enumerate(STATISTICS[:4]):
            ours = measured[name]["untrained_networks"][:, index]
            fixed = [policy[statistic].mean for policy in measured[name]["priorities"].values()]
            real = [value for row in reference.untrained if (value := row[statistic]) is not None]
            if not real:
                continue
            low, high = min(*fixed, *ours), max(*fixed, *ours)
            inside = sum(low - 0.01 <= value <= high + 0.01 for value in real)
            middle = np.quantile(ours, [0.1, 0.9])
            cells = [
                name,
                statistic.replace("_", " "),
                f"{ours.mean():.2f}",
                f"{middle[0]:.2f} to {middle[1]:.2f}",
                f"{ours.min():.2f} to {ours.max():.2f}",
                f"{min(fixed):.2f} to {max(fixed):.2f}",
                f"{np.mean(real):.2f} ({len(real)})",
                f"{min(real):.2f} to {max(real):.2f}",
                f"{inside} of {len(real)}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def script_table(measured: dict[str, dict[str, Any]]) -> str:
    """All maps: random play, untrained networks and the scripts."""
    lines = [
        "| map | random: length | return | dead allies | dead enemies | won | untrained: return | nearest: won |"
        " return |",
        "|" + "---|" * 9,
    ]
    for name, ours in measured.items():
        random = ours["random"]
        cells = [name, *(f"{random[statistic].mean:.2f}" for statistic in STATISTICS[:4])]
        cells += [f"{random['win_rate'].mean:.1%}", f"{ours['untrained']['return'].mean:.2f}"]
        cells += [f"{ours['nearest']['win_rate'].mean:.0%}", f"{ours['nearest']['return'].mean:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    for name in KITING_MAPS:
        if name in measured:
            ours = measured[name]
            won = ", ".join(f"{kite['win_rate'].mean:.0%} with {moves}" for moves, kite in ours["kiting"].items())
            lines.append(
                f"\n{name}: kiting (one attack, then so many moves) wins {won} moves; standing still and shooting wins "
                f"{ours['standing']['win_rate'].mean:.0%}."
            )
    return "\n".join(lines)


def _sample(values: Any) -> Sample:
    array = np.asarray(values, dtype=np.float64)
    return Sample(float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else 0.0, array.size)


def _short(sample: Sample) -> str:
    return f"{sample.mean:.2f} ± {sample.deviation:.2f}"


def _known(sample: Sample | None) -> str:
    return str(sample) if sample else "-"


def _plain(value: Any) -> Any:
    """Samples and arrays as JSON will have them."""
    if isinstance(value, Sample):
        return {"mean": round(value.mean, 4), "sd": round(value.deviation, 4), "n": value.count}
    if isinstance(value, np.ndarray):  # what networks scored: deciles by statistic
        deciles = np.quantile(value, np.linspace(0, 1, 11), axis=0).round(3).T.tolist()
        return dict(zip(STATISTICS, deciles))
    return {name: _plain(entry) for name, entry in value.items()} if isinstance(value, dict) else value


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure, print the tables, write the numbers."""
    parser = argparse.ArgumentParser(prog="python -m skirmish.fidelity", description=__doc__.split("\n")[0])
    parser.add_argument("--maps", default=",".join(MAP_NAMES), help="names with commas between (default: all)")
    parser.add_argument("--episodes", type=int, default=1024, help="episodes of each policy (a multiple of 8)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--windows", type=Path, help="folder of sacred runs: their first 10,000 steps are added")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(None if arguments is None else list(arguments))
    measured = {name: measure(name, options.episodes, options.seed) for name in options.maps.split(",")}
    windows = read_windows(options.windows) if options.windows else {}
    print("## Near-random play\n\n" + near_random_table(measured, windows))
    print("\n## Untrained networks and fixed priorities\n\n" + untrained_table(measured))
    print("\n## Random play and scripts on all maps\n\n" + script_table(measured))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        numbers = {"episodes": options.episodes, "seed": options.seed, "maps": measured, "windows": windows}
        options.json.write_text(json.dumps(_plain(numbers)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
