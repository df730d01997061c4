"""World models: networks that predict how the environment goes on; training is `learners/world_model_learner.py`."""

from modules.world_models.layout import ObsBlocks, StateLayout
from modules.world_models.world_model import Context, Imagined, WorldModel

__all__ = ["Context", "Imagined", "ObsBlocks", "StateLayout", "WorldModel"]
