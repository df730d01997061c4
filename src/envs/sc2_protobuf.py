"""Lets the game's message classes load with today's protobuf.

The modules of `s2clientprotocol` were generated long ago: protobuf since 4.0 refuses to run them ("Descriptors cannot
be created directly"), and its pure-Python fallback, which would, is slower by two orders of magnitude. But each module
carries its complete description as bytes. The import hook here takes those out, without running the module, and lets
protobuf build the classes from them.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from pathlib import Path
from types import ModuleType

PACKAGE = "s2clientprotocol"


def install() -> None:
    """Put the hook in place; must come before the first import of `s2clientprotocol`. A second call does nothing."""
    if not any(isinstance(finder, MessageFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, MessageFinder())


class MessageFinder(MetaPathFinder):
    """Finds `s2clientprotocol.*_pb2` and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own place, with a loader that builds it from its description."""
        if not (fullname.startswith(f"{PACKAGE}.") and fullname.endswith("_pb2")):
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(fullname, found.origin, loader=MessageLoader(found.origin))


class MessageLoader(Loader):
    """Builds one module of message classes."""

    def __init__(self, path: str) -> None:
        self.path = path

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module with its classes and enumerations."""
        from google.protobuf import descriptor_pb2, descriptor_pool
        from google.protobuf.internal import builder

        serialized = description(Path(self.path).read_text(encoding="utf-8"))
        for dependency in descriptor_pb2.FileDescriptorProto.FromString(serialized).dependency:
            importlib.import_module(dependency.removesuffix(".proto").replace("/", ".") + "_pb2")
        file = descriptor_pool.Default().AddSerializedFile(serialized)
        names = vars(module)
        names["DESCRIPTOR"] = file
        builder.BuildMessageAndEnumDescriptors(file, names)
        builder.BuildTopDescriptorsAndMessages(file, module.__name__, names)


def description(source: str) -> bytes:
    """The serialized FileDescriptorProto in the text of a generated module; ImportError if there is none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, (str, bytes)):
                    return part.value if isinstance(part.value, bytes) else part.value.encode("latin1")
    raise ImportError("This is no module of messages as protoc generated them before 2022: it has no serialized_pb.")
