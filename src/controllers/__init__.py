"""Multi-agent controllers by the name that `mac:` gives in a config; each is called as `mac(scheme, groups, args)`."""

from collections.abc import Callable
from typing import Any

from controllers.basic_controller import BasicMAC
from controllers.n_controller import NMAC
from controllers.non_shared_controller import NonSharedMAC

REGISTRY: dict[str, Callable[..., Any]] = {
    "basic_mac": BasicMAC,
    "n_mac": NMAC,
    "non_shared_mac": NonSharedMAC,
}
