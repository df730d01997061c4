"""When two runs are the same experiment: equal configurations, apart from budgets, records and ways of starting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Keys that may differ between a run and its continuation: budgets, records, and how it was started.
FREE_KEYS = frozenset(
    {
        *("seed", "resume", "t_max", "max_episodes", "max_minutes", "stop_win_rate", "stop_evaluations"),
        *("log_interval", "use_tensorboard", "label", "local_results_path", "repeat_id"),
        *("use_wandb", "wandb_project", "wandb_team", "wandb_mode", "mongo_url", "mongo_db"),
        *("save_model", "save_model_interval", "save_every_episodes", "checkpoint_interval"),
        *("checkpoint_path", "load_step", "save_actor", "evaluate", "use_cuda", "device", "torch_threads"),
        *("save_replay", "replay_episodes", "replay_to", "experiment", "experiment_run"),
    }
)


def configuration_hash(config: Mapping[str, Any]) -> str:
    """Return a hash of what makes two runs the same experiment; the seed is compared apart."""
    kept = {key: value for key, value in config.items() if key not in FREE_KEYS}
    kept["env_args"] = {key: value for key, value in dict(kept.get("env_args") or {}).items() if key != "seed"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]
