"""One call for all mixers: the value of the team from the agents' values, whatever else the mixer wants to know."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from modules.mixers.dmaq_general import DMAQer
from modules.mixers.nmix import Mixer
from modules.mixers.qatten import QattenMixer
from modules.mixers.qmix import QMixer
from modules.mixers.vdn import VDNMixer

REGISTRY: dict[str, Any] = {
    "vdn": VDNMixer,
    "qmix": QMixer,
    "nmix": Mixer,
    "qatten": QattenMixer,
    "dmaq": DMAQer,
}
"""The legal values of the key `mixer`; `null` leaves every agent for itself. Each is called as `mixer(args)`.

A class that says `reads_actions = True` is called as QPLEX is, see `DMAQer.forward`: its two parts are added.
"""


class TeamValue(nn.Module):
    """The mixer that `args.mixer` names, or none.

    `mixer` stays None without one, and the values of the agents go through as they are. `reads_actions` tells whether
    actions and maxima matter; else they may be None.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.mixer: nn.Module | None = None if args.mixer is None else REGISTRY[args.mixer](args)
        self.reads_actions: bool = getattr(self.mixer, "reads_actions", False)

    def forward(
        self, values: Tensor, states: Tensor, actions: Tensor | None = None, maxima: Tensor | None = None
    ) -> Tensor:
        """Team values [B, T, 1] ([B, T, n] without a mixer).

        values [B, T, n]: Q of the chosen actions; states [B, T, d]; actions [B, T, n, A]: the choice as one-hot;
        maxima [B, T, n]: Q of each agent's best action.
        """
        if self.mixer is None:
            return values
        if self.reads_actions:
            return self.mixer(values, states, is_v=True) + self.mixer(values, states, actions, maxima)
        joint: Tensor = self.mixer(values, states)
        return joint
