"""What the world model of an AMAL run is worth: its battles beside real ones, and what a policy learns in it alone.

    python3 tests/benchmarks/bench_world_model.py results/models/<token> compare [--policy results/models/<other>]
    python3 tests/benchmarks/bench_world_model.py results/models/<token> learn --updates 60 imagination_horizon=70
    python3 tests/benchmarks/bench_world_model.py results/models/<token> fit --updates 4000 world_model=recurrent
    python3 tests/benchmarks/bench_world_model.py results/models/<token> gradients --updates 240 --every 30
    python3 tests/benchmarks/bench_world_model.py results/models/<token> continue --steps 8000 imagination_updates=1

`compare`: battles that the run's policy, or another run's, plays for real and in the model, from their beginnings, step
by step, what the model makes of battles that are won, and how much of what units really lose in a step it expects.
`learn`: a fresh policy, trained by PPO on imagined battles alone and tested in real ones.
`fit`: a fresh world model, trained on the run's real episodes and measured on those held out.
`gradients`: where the policy's gradient points in imagination and where in reality, while the model trains on.
`continue`: the run goes on for some real steps, with other keys, and plays more tests than runs do.
Further words set keys of the run's configuration. Real episodes are sampled, but those that `continue` learns from.
"""

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import torch
import yaml
from torch import Tensor

from components.episode_buffer import EpisodeBatch
from learners.segments import Segments, segments_of
from learners.world_model_metrics import held_out_metrics
from run import assembly, checkpoints
from utils.logging import Logger, get_logger
from utils.seeding import seed_everything, torch_stream

STEPS = (5, 10, 15, 20, 30, 40, 50)
EPISODES = 64
HELD_OUT_SEQUENCES = 256
TESTED = 96
GRADIENTS = 16
MEASURES = (
    *("model_nll", "model_change_r2", "model_open_loop_1", "model_open_loop_5", "model_open_loop_15"),
    *("model_reward_mse", "model_reward_mse_of_mean", "model_avail_auc", "model_termination_auc"),
)
FRESH = {"imagination_initial_share": 1.0, "imagination_rollouts": 32, "imagined_epochs": 5, "imagined_mini_batches": 2}
"""Of the fresh policy's training: whole passes over battles that begin where battles begin."""


def main() -> None:
    """Load the run's parts and do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder with checkpoint.pt")
    parser.add_argument("what", choices=("compare", "learn", "fit", "gradients", "continue"))
    parser.add_argument("--policy", type=Path, help="folder with the checkpoint.pt whose policy plays")
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--every", type=int, default=20, help="updates between two measurements")
    parser.add_argument("--steps", type=int, default=8000, help="real steps that the run goes on for")
    parser.add_argument("keys", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    state = checkpoints.load(options.models / "checkpoint.pt")
    keys = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in options.keys)}
    with tempfile.TemporaryDirectory() as folder:
        if options.what in ("compare", "gradients", "continue"):
            if options.what == "continue":
                keys = {"batch_size_run": state["label"]["config"]["batch_size_run"], "test_nepisode": TESTED} | keys
            else:
                keys = {"greedy_share": 0.0} | keys
            parts = build(state, keys, Path(folder))
            for name in ("learner", "mac"):
                getattr(parts, name).load_state_dict(state[name])
            if options.policy is not None:
                parts.mac.load_state_dict(checkpoints.load(options.policy / "checkpoint.pt")["mac"])
            if options.what == "compare":
                compare(parts)
            elif options.what == "continue":
                go_on(parts, options.steps, keys)
            else:
                gradients(parts, options.updates, options.every)
        elif options.what == "fit":
            parts = build(state, keys, Path(folder))
            fit(parts, options.updates, options.every)
        else:
            fresh = {"aux_ratio": 0.0, "lambda_info": 0.0, "policy_average": 0.0}
            parts = build(state, FRESH | fresh | keys, Path(folder))
            parts.learner.world_model.load_state_dict(state["learner"]["world_model"])
            learn(parts, options.updates, options.every)
        parts.runner.close_env()


def build(state: dict[str, Any], keys: dict[str, Any], folder: Path) -> assembly.Parts:
    """The parts of the run with its real episodes, playing as many at a time as are compared; networks are fresh."""
    config = copy.deepcopy(state["label"]["config"]) | {"batch_size_run": EPISODES, "device": "cpu"} | keys
    seed_everything(config["seed"])
    parts = assembly.build(SimpleNamespace(**config), Logger(get_logger()), folder)
    real = {name: part for name, part in state["buffer"].items() if name != "auxiliaries"}
    parts.buffer.load_state_dict(real | {"auxiliaries": {"rings": [], "dtypes": {}}})
    return parts


@torch.no_grad()
def compare(parts: assembly.Parts) -> None:
    """Print units alive and return, real | imagined."""
    imagination = parts.learner.imagination
    batch = parts.runner.run(test_mode=False)
    real = progress(parts, batch["state"], batch["filled"][:, 1:, 0] != 0, batch["reward"][:, :-1, 0])
    starts = imagination.starts(parts.buffer, 2 * EPISODES, 1.0)
    rollout = imagination.rollout(starts, STEPS[-1])
    imagined = progress(parts, rollout.state, rollout.mask, rollout.reward)
    print("step      allies          enemies         return     (real | imagined)")
    for step in STEPS:
        pairs = (f"{r:6.2f} |{i:6.2f}" for r, i in zip(real(step), imagined(step), strict=True))
        print(f"{step:4d} ", "  ".join(pairs))
    print(after_the_win(parts, rollout))
    print("expected / real loss:", ", ".join(f"{who} {ratio:.2f}" for who, ratio in loss_ratios(parts, batch).items()))


def after_the_win(parts: assembly.Parts, rollout: Segments) -> str:
    """How often imagined battles end with the last enemy, and what the model pays where they do not."""
    layout = parts.learner.world_model.model.layout
    enemies = layout.alive(layout.tokens(rollout.state))[..., layout.n_agents :].any(-1)
    won, beyond = rollout.mask & enemies[:, :-1] & ~enemies[:, 1:], rollout.mask & ~enemies[:, :-1]
    returns = (rollout.reward * rollout.mask).sum(1)
    line = f"imagined returns {returns.mean():.1f}, deviation {returns.std():.1f}; {int(won.sum())} battles won"
    if won.any():
        line += f", {rollout.terminated[won].float().mean():.2f} of them over at once"
    if beyond.any():
        line += f", {int(beyond.sum())} steps imagined beyond, reward {rollout.reward[beyond].mean():.2f} each"
    return line


def loss_ratios(parts: assembly.Parts, batch: EpisodeBatch) -> dict[str, float]:
    """What the model expects in each real step over what came, in sum: allies' losses, and enemies' by attackers."""
    model = parts.learner.world_model.model
    layout = model.layout
    n_agents = layout.n_agents
    real = batch["filled"][:, 1:, 0].flatten() != 0
    states, actions = batch["state"], batch["actions"][:, :-1].squeeze(-1).flatten(0, 1).long()
    context = model.contexts(states[:, :-1])
    after = layout.tokens(states[:, 1:]).flatten(0, 1)
    expected = model.moments(context, model.predict(context, actions))[0][0]
    counts = layout.alive(context.tokens) & real.unsqueeze(1)
    came, foreseen = ((to - context.tokens)[..., model.vital].sum(-1) * counts for to in (after, expected))
    first_target = layout.n_actions - layout.n_target_actions
    attackers = (actions.unsqueeze(-1) == first_target + torch.arange(layout.n_enemies)).sum(1)
    groups = {"allies": (came[:, :n_agents], foreseen[:, :n_agents])}
    for name, least, most in (("enemies under 1", 1, 1), ("2", 2, 2), ("more attackers", 3, n_agents)):
        chosen = (attackers >= least) & (attackers <= most)
        groups[name] = (came[:, n_agents:][chosen], foreseen[:, n_agents:][chosen])
    return {name: float(ours.sum() / real_loss.sum()) for name, (real_loss, ours) in groups.items()}


def progress(
    parts: assembly.Parts, state: Tensor, steps: Tensor, reward: Tensor
) -> Callable[[int], tuple[float, float, float]]:
    """Mean allies alive, enemies alive and return so far, of battles that stay as they ended."""
    layout = parts.learner.world_model.model.layout
    alive = layout.alive(layout.tokens(state)).float()
    lengths, returns = steps.sum(1), (reward * steps).cumsum(1)

    def at(step: int) -> tuple[float, float, float]:
        last = lengths.clamp_max(step)
        units = alive[torch.arange(len(last)), last]
        allies, enemies = units[:, : layout.n_agents].sum(1), units[:, layout.n_agents :].sum(1)
        return float(allies.mean()), float(enemies.mean()), float(returns[:, min(step, returns.shape[1]) - 1].mean())

    return at


def learn(parts: assembly.Parts, updates: int, every: int) -> None:
    """Train in the model, test in the real environment."""
    learner = parts.learner
    learner.evolution = None
    learner.args.imagination_updates = every
    print("updates  imagined return  entropy  real return: greedy, sampled")
    for done in range(every, updates + 1, every):
        logged = learner._imagine(learner.args.t_max)
        greedy, sampled = (real_return(parts, test_mode) for test_mode in (True, False))
        line = f"{done:7d} {logged['imagined_return_mean']:16.2f} {logged['imagined_entropy']:8.2f}"
        print(f"{line} {greedy:20.2f} {sampled:8.2f}", flush=True)


def fit(parts: assembly.Parts, updates: int, every: int) -> None:
    """Train a fresh world model on the real episodes, measure it on those held out, print what an update costs."""
    world_model, buffer = parts.learner.world_model, parts.buffer
    held_out_every = parts.learner.args.held_out_every
    parameters = sum(parameter.numel() for parameter in world_model.model.parameters())
    print(f"{buffer.primary_steps_added:,} real steps, {parameters:,} parameters")
    world_model._fit_scales(buffer)
    seconds = 0.0
    for done in range(every, updates + 1, every):
        before = time.process_time()
        for _ in range(every):
            world_model.update(world_model._draw(buffer))
        seconds += time.process_time() - before
        generator = torch_stream(0, "held out")
        with torch.no_grad():
            measured = held_out_metrics(world_model.model, buffer, generator, held_out_every, HELD_OUT_SEQUENCES)
        words = (f"{name.removeprefix('model_')} {measured[name]:.4f}" for name in MEASURES)
        print(f"{done:6d} updates, {1000 * seconds / done:.1f} CPU-ms each:", ", ".join(words), flush=True)


def gradients(parts: assembly.Parts, updates: int, every: int) -> None:
    """Print the real gradient's size and how sure its direction is, then the imagined one's as the model trains on."""
    learner = parts.learner
    statistics = copy.deepcopy(learner.value_norm.state_dict())

    def gradient(segments: Segments) -> Tensor:
        data = learner._ppo_data(segments, on_policy=True)
        learner.value_norm.load_state_dict(statistics)
        return learner.trainer.policy_gradient(data, learner.settings)

    def cosine(first: Tensor, second: Tensor) -> float:
        return float(torch.nn.functional.cosine_similarity(first, second, dim=0))

    def with_the_others(parts: list[Tensor], mean: Tensor) -> float:
        return sum(cosine(one, mean - one / len(parts)) for one in parts) / len(parts)

    memory = learner.mac.agent.trunk.rnn_size
    real = [
        gradient(segments_of(parts.runner.run(test_mode=False), learner.device, memory, learner.critic))
        for _ in range(GRADIENTS)
    ]
    whole = torch.stack(real).mean(0)
    alone = with_the_others(real, whole)
    print(f"real: norm {whole.norm():.3f}; cosine of {EPISODES} episodes with all others {alone:.2f}")
    print("updates  imagined return  norm  cosine with the others of one batch; with the real gradient: one, the mean")
    for done in range(0, updates + 1, every):
        for _ in range(every if done else 0):
            learner.world_model.update(learner.world_model._draw(parts.buffer))
        starts = (learner._starts(parts.buffer, learner.args.imagination_rollouts) for _ in range(GRADIENTS))
        rollouts = [learner.imagination.rollout(start, learner.horizon) for start in starts]
        battles = learner.imagination.rollout(learner.imagination.starts(parts.buffer, 4 * EPISODES, 1.0), STEPS[-1])
        returns = float((battles.reward * battles.mask).sum() / battles.n_segments)
        imagined = [gradient(rollout) for rollout in rollouts]
        mean = torch.stack(imagined).mean(0)
        one = sum(cosine(each, whole) for each in imagined) / GRADIENTS
        words = f"{with_the_others(imagined, mean):35.2f} {one:30.2f} {cosine(mean, whole):9.2f}"
        print(f"{done:7d} {returns:16.1f} {mean.norm():6.3f} {words}", flush=True)


def go_on(parts: assembly.Parts, steps: int, keys: dict[str, Any]) -> None:
    """Train on, and every 1,000 steps print how the averaged policy does in tests and how training's episodes went."""
    learner, runner = parts.learner, parts.runner
    # the optimizers that were loaded brought their own step sizes
    for name, optimiser in (("lr", learner.agent_optimiser), ("critic_lr", learner.critic_optimiser)):
        for group in optimiser.param_groups:
            group["lr"] = keys.get(name, group["lr"])
    first = tested = runner.t_env = parts.buffer.primary_steps_added
    rows: list[dict[str, float]] = []
    tests: list[float] = []
    print(f"real steps  wins of {TESTED} tests, return, and the same of the episodes learned from")
    while tested - first < steps:
        batch = runner.run(test_mode=False)
        rows += runner.last_episodes
        parts.buffer.insert_episode_batch(batch)
        learner.train(batch, runner.t_env, 0)
        if runner.t_env - tested < 1000:
            continue
        tested = runner.t_env
        with learner.testing():
            played = [row for _ in range(TESTED // runner.batch_size) for row in episodes(runner, test_mode=True)]
        tests.append(mean_of(played, "battle_won"))
        words = (f"{mean_of(group, name):8.2f}" for group in (played, rows) for name in ("battle_won", "return"))
        print(f"{tested:10d}", *words, flush=True)
        rows = []
    print(f"mean of the tests {sum(tests) / len(tests):.2f}")


def real_return(parts: assembly.Parts, test_mode: bool) -> float:
    """Mean return of real episodes."""
    return mean_of(episodes(parts.runner, test_mode), "return")


def episodes(runner: Any, test_mode: bool) -> list[dict[str, float]]:
    """The rows of one batch of real episodes; in test mode there may be fewer than the batch has places."""
    runner.run(test_mode=test_mode)
    rows: list[dict[str, float]] = runner.last_episodes
    return rows


def mean_of(rows: list[dict[str, float]], name: str) -> float:
    """Mean of a number over episodes."""
    return sum(row[name] for row in rows) / len(rows)


if __name__ == "__main__":
    main()
