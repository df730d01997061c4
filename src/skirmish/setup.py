"""Builds outside the source folder, which stays as it is; everything else is in pyproject.toml."""

import atexit
import shutil
import tempfile

from setuptools import setup  # type: ignore[import-untyped]

_BUILD = tempfile.mkdtemp(prefix="skirmish-build-")
atexit.register(shutil.rmtree, _BUILD, ignore_errors=True)  # an installation runs this file several times

setup(options={"build": {"build_base": _BUILD}, "egg_info": {"egg_base": _BUILD}})
