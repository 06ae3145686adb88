"""Families from outside of the library: found by their name ``module:Class``, checked, and identified.

A module is imported only where `load_class` is called with text that the user wrote (``params.yaml``, a command line).
A bundle names the classes that it was made with, but loading it runs no code: `imported_class` looks among the modules
that the process has imported already.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from slackwater.errors import BundleError, ParameterError
from slackwater.features.family import Family

__all__ = ["failure_of", "imported_class", "load_class", "require_family", "source_digest", "spec_of"]

_SPEC: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def spec_of(family: type[Family]) -> str:
    """Return the name of a class as ``module:Class``."""
    return f"{family.__module__}:{family.__qualname__}"


def source_digest(family: type[Family]) -> str:
    """Return a digest of the file that defines a family, empty where there is no such file.

    It is part of the fingerprint, so that a bundle refuses a family whose formulas may have changed.
    """
    try:
        file = inspect.getsourcefile(family)
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""
    except (TypeError, OSError):
        return ""


def load_class(spec: str) -> type[Family]:
    """Import a family by its name ``module:Class`` and check that it is one.

    Raises
    ------
    ParameterError
        If the text is not of that form, the module cannot be imported, or the class is not a family that the engine
        can run.
    """
    module_name, class_name = _parts(spec)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may also end the process
        raise ParameterError(
            f"features.extra: {spec}: module {module_name} cannot be imported, {type(error).__name__}: {error}; "
            "it must be installed or lie below the working directory"
        ) from error
    return require_family(getattr(module, class_name, None), spec)


def imported_class(spec: str, given: Iterable[type[Family]] = ()) -> type[Family]:
    """Return the family that a bundle names, from the classes given or from modules that are imported already.

    Raises
    ------
    BundleError
        If it is in neither. No module is imported: a bundle does not run code.
    """
    for family in given:
        if spec_of(family) == spec:
            return family
    module_name, class_name = _parts(spec)
    found = getattr(sys.modules.get(module_name), class_name, None)
    if found is None:
        raise BundleError(
            f"the bundle was made with the family {spec}, which this process has not imported; import {module_name} "
            f"first, or pass the class: ReversalScorer.load(path, families=[{class_name}])"
        )
    return require_family(found, spec)


def _parts(spec: str) -> tuple[str, str]:
    if not _SPEC.fullmatch(spec):
        raise ParameterError(f"features.extra: `{spec}` must be module:Class, such as my_package.my_module:MyFamily")
    module_name, _, class_name = spec.partition(":")
    return module_name, class_name


def require_family(found: Any, spec: str = "") -> type[Family]:
    """Return a class if it is a family that the engine can run.

    Raises
    ------
    ParameterError
        If it is not derived from `Family`, is not a frozen dataclass, or lacks something.
    """
    where = f"features.extra: {spec or getattr(found, '__qualname__', found)}"
    if found is None:
        raise ParameterError(f"{where}: the module has no such class")
    if not (isinstance(found, type) and issubclass(found, Family)):
        raise ParameterError(f"{where} is not a family: derive it from slackwater.features.family.Family")
    made = vars(found).get("__dataclass_params__")
    if made is None or not made.frozen:
        raise ParameterError(f"{where} must be decorated with @dataclass(frozen=True, kw_only=True)")
    lost = [*sorted(found.__abstractmethods__), *(name for name in ("name", "advance") if not hasattr(found, name))]
    if lost:
        raise ParameterError(f"{where} lacks {', '.join(lost)}")
    if not isinstance(found.advance, Dispatcher):
        raise ParameterError(f"{where}: `advance` must be compiled with @slackwater.operators.family_kernel")
    return found


def failure_of(error: Exception) -> str:
    """Return what a kernel did, in words."""
    if not isinstance(error, NumbaError):
        return f"raised {type(error).__name__}: {error}"
    text = str(error)
    if "NRT" in text or "allocat" in text:
        return f"allocates, which kernels must not: keep everything in `state`, sized by `state_size`\n{text}"
    return f"does not compile: {text}"
