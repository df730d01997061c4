"""Libraries that only some of the interfaces need."""

from __future__ import annotations

import importlib.util

_PACKAGES = {
    "gymnasium": "gymnasium>=1.0", "pettingzoo": "pettingzoo>=1.24", "yaml": "PyYAML>=6.0", "PIL": "pillow>=10.1",
    "imageio_ffmpeg": "imageio-ffmpeg>=0.6",
}  # fmt: skip


def require(module: str, interface: str) -> None:
    """ImportError with the line that installs it, if `module`, which `skirmish.<interface>` needs, is not installed."""
    if importlib.util.find_spec(module) is None:
        raise ImportError(
            f"skirmish.{interface} needs {module}, which is not installed: python -m pip install '{_PACKAGES[module]}'"
        )
