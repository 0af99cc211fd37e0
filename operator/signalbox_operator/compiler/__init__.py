"""From objects to a snapshot: pure, deterministic, one bad object never takes others down.

Nothing in this package knows a clock, a file, a socket or chance: the same objects give the same
bytes, in whatever order they come. What is wrong with an object is a `Finding`, never an
exception.
"""

from signalbox_operator.compiler.compilation import Compilation, compile_objects
from signalbox_operator.compiler.findings import Finding
from signalbox_operator.compiler.forms import ObjectState

__all__ = ["Compilation", "Finding", "ObjectState", "compile_objects"]
