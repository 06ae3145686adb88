"""Families from outside of the library: found by their name ``module:Class``, checked, and identified.

A module is imported only where `load_class` is called with text that the user wrote (``params.yaml``, a command line).
A bundle names the classes that it was made with, but loading it runs no code: `imported_class` looks among the modules
that the process has imported already.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from slackwater.errors import BundleError, ParameterError
from slackwater.features.family import Family

__all__ = ["RESERVED_NAMES", "failure_of", "imported_class", "load_class", "require_family", "source_digest", "spec_of"]

RESERVED_NAMES: Final = frozenset({"extra", "extra_parameters", "bar_interval"})
"""Names that no family may have: what else stands beside the families under `features`."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPEC: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def spec_of(family: type[Family]) -> str:
    """Return the name of a class as ``module:Class``."""
    return f"{family.__module__}:{family.__qualname__}"


def source_digest(family: type[Family]) -> str:
    """Return a digest of the files that a family's formulas may stand in, empty where there is no such file.

    It is part of the fingerprint, so that a bundle refuses a family whose formulas may have changed. The files are
    those of the class and of the classes from outside that it derives from, and the imported modules of the same
    packages that these import, directly and through others; a module outside of any package counts with its neighbours
    in the same directory. Files of other packages are not covered.
    """
    waiting = [kind.__module__ for kind in family.__mro__ if kind.__module__.split(".")[0] not in ("builtins", "abc")]
    waiting = [name for name in waiting if name.split(".")[0] != "slackwater"]
    seen: dict[str, bytes] = {}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        try:
            file = inspect.getsourcefile(sys.modules[name])
            seen[name] = Path(file).read_bytes() if file else b""
            waiting.extend(_own_imports(name, ast.parse(seen[name])))
        except (TypeError, OSError, KeyError, SyntaxError, ValueError):
            seen[name] = b""
    if not any(seen.values()):
        return ""
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode() + b"\0" + seen[name] + b"\0")
    return digest.hexdigest()[:16]


def _own_imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield the modules that a module imports from its own package, as far as the process has imported them."""
    package = name if hasattr(sys.modules[name], "__path__") else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            found = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (each for each in found if each in sys.modules and _are_neighbours(name, each))


def _are_neighbours(one: str, other: str) -> bool:
    if "." in one or hasattr(sys.modules[one], "__path__"):
        return one.split(".")[0] == other.split(".")[0]
    places = [getattr(sys.modules[name], "__file__", None) for name in (one, other)]
    return all(places) and Path(str(places[0])).parent == Path(str(places[1])).parent


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
    try:
        found = getattr(module, class_name, None)
    except Exception as error:  # a module may compute its attributes
        raise ParameterError(f"features.extra: {spec} cannot be read, {type(error).__name__}: {error}") from error
    return require_family(found, spec)


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
    module = sys.modules.get(module_name)
    found = getattr(module, class_name, None)
    if found is None and module is not None:
        raise BundleError(
            f"the bundle was made with the family {spec}, and the module {module_name} has no {class_name} any more; "
            f"use the module of then, or pass the class: ReversalScorer.load(path, families=[{class_name}])"
        )
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


def require_family(found: Any, spec: str = "", *, taken: Collection[str] = ()) -> type[Family]:
    """Return a class if it is a family that the engine can run.

    Parameters
    ----------
    found
        The class, as it was found; None: there is none.
    spec
        Its name ``module:Class``, for the message.
    taken
        Names of families that it must not have, beside the reserved ones.

    Raises
    ------
    ParameterError
        If it is not derived from `Family`, is not a frozen dataclass, lacks something, or has a name that is taken.
    """
    where = f"features.extra: {spec or (spec_of(found) if isinstance(found, type) else repr(found))}"
    if found is None:
        raise ParameterError(f"{where}: the module has no such class")
    if not (isinstance(found, type) and issubclass(found, Family)):
        raise ParameterError(f"{where} is not a family: derive it from slackwater.features.family.Family")
    made = vars(found).get("__dataclass_params__")
    if made is None or not (made.frozen and made.eq):
        raise ParameterError(f"{where} must be decorated with @dataclass(frozen=True, kw_only=True)")
    lost = [*sorted(found.__abstractmethods__), *(name for name in ("name", "advance") if not hasattr(found, name))]
    if lost:
        raise ParameterError(f"{where} lacks {', '.join(lost)}")
    if own := sorted({"name", "advance", "needs", "tolerance"} & {each.name for each in fields(found)}):
        raise ParameterError(f"{where}: {', '.join(own)} must be of the class, not parameters: annotate as ClassVar")
    name = getattr(found, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ParameterError(f"{where}: `name` must be letters, digits and `_`, such as my_family, was {name!r}")
    if name in taken:
        raise ParameterError(f"{where} takes the name `{name}` of a family of slackwater")
    if name in RESERVED_NAMES:
        raise ParameterError(f"{where} takes the name `{name}`, which is a key of `features` in params.yaml")
    if not isinstance(found.needs, tuple) or not all(isinstance(each, str) for each in found.needs):
        raise ParameterError(f'{where}: `needs` must be a tuple such as ("volatility",), was {found.needs!r}')
    if not isinstance(found.advance, Dispatcher):
        raise ParameterError(f"{where}: `advance` must be compiled with @slackwater.operators.family_kernel")
    arguments = list(inspect.signature(found.advance.py_func).parameters)
    if len(arguments) != 4:
        raise ParameterError(f"{where}: `advance` must take (state, constants, row, out), takes {tuple(arguments)}")
    return found


def failure_of(error: Exception) -> str:
    """Return what a kernel did, in words: one line, without the colours and the pages of the compiler."""
    text = _COLOURS.sub("", str(error))
    if not isinstance(error, NumbaError):
        return f"raised {type(error).__name__}: {text}"
    if "NRT" in text or "allocat" in text:
        return "allocates, which kernels must not: keep everything in `state`, sized by `state_size`"
    lines = [line.strip(" >-") for line in text.splitlines()]
    useful = [line for line in lines if line and not line.startswith(_PREAMBLE)]
    place = next((line.strip() for line in lines if line.startswith("File ")), "")
    return f"does not compile: {next(iter(useful), 'numba gives no reason')}" + (f" ({place})" if place else "")


_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_PREAMBLE: Final = ("Failed in nopython mode", "Failed in object mode", "File ", "Overload", "During: ")
