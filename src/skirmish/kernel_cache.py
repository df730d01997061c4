"""Numba's cache, made aware of all files that a kernel is made of.

Numba notices changes only in the file of the function it has cached, not in those of the functions inlined into it. A
stamp beside the cached code, the hash of all its sources, tells whether it is up to date.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

Kernel = Any
"""A function compiled by Numba with `cache=True`."""


def sources(*modules: ModuleType | str) -> tuple[Path, ...]:
    """The source files of modules (or the files themselves)."""
    return tuple(Path(module if isinstance(module, str) else str(module.__file__)) for module in modules)


def compile_all(kernels: Mapping[Kernel, tuple[Any, ...]], files: Iterable[Path]) -> None:
    """Compile each kernel for its signature, or load it from the cache if it is as the files are now.

    A kernel that has been compiled in this process costs nothing.
    """
    missing = [kernel for kernel in kernels if not kernel.signatures]
    if not missing:
        return
    stamp = _stamp(files)
    for kernel in missing:
        _drop_stale(kernel, stamp)
        kernel.compile(kernels[kernel])
        kernel.disable_compile()


def is_ready(kernels: Iterable[Kernel], files: Iterable[Path]) -> bool:
    """Whether all kernels are compiled in this process or lie in the cache as the files are now."""
    stamp = _stamp(files)
    return all(kernel.signatures or _is_cached(kernel, stamp) for kernel in kernels)


def _stamp(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _place(kernel: Kernel) -> tuple[Path, str]:
    """The folder of the kernel's cache and how its files begin there."""
    module = Path(kernel.py_func.__code__.co_filename).stem
    return Path(str(kernel.stats.cache_path)), f"{module}.{kernel.py_func.__qualname__}"


def _is_cached(kernel: Kernel, stamp: str) -> bool:
    folder, name = _place(kernel)
    written = folder / f"{name}.sources"
    return written.is_file() and written.read_text() == stamp and any(folder.glob(f"{name}-*.nbi"))


def _drop_stale(kernel: Kernel, stamp: str) -> None:
    """Remove cached code that was made from other sources; two processes may do so at once."""
    folder, name = _place(kernel)
    written = folder / f"{name}.sources"
    if written.is_file() and written.read_text() == stamp:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for index in folder.glob(f"{name}-*.nbi"):
        index.unlink(missing_ok=True)
    part = folder / f"{name}.{os.getpid()}.part"
    part.write_text(stamp)
    part.replace(written)
