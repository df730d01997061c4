"""Data between environment and learner: episode batches, buffers, action selection, schedules.

`REGISTRY` maps the value of the key `buffer` to the buffer's class.
"""

from typing import Any

from components.asymmetric_buffer import AsymmetricBuffer
from components.prioritized_replay_buffer import PrioritizedReplayBuffer
from components.replay_buffer import ReplayBuffer
from components.transition_replay_buffer import TransitionReplayBuffer

REGISTRY: dict[str, Any] = {
    "replay": ReplayBuffer,
    "prioritized": PrioritizedReplayBuffer,
    "asymmetric": AsymmetricBuffer,
    "transitions": TransitionReplayBuffer,
}
