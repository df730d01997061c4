"""What AMAL adds to a policy gradient: the information bonus and the evolution of auxiliary policies.

`information` says how much a transition tells about which policy produced it (or, with an ensemble, about the world
model); `evolution` keeps auxiliary policies that differ from the primary one and from their own ancestors.
"""

from .alternatives import PolicyAlternatives
from .evolution import POLICY_ITSELF, AuxiliaryEvolution
from .information import ESTIMATORS, InformationBonus

__all__ = ["ESTIMATORS", "POLICY_ITSELF", "AuxiliaryEvolution", "InformationBonus", "PolicyAlternatives"]
