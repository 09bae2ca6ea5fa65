"""Packages that only some commands need: asked for before anything that imports them is."""

from __future__ import annotations

from importlib.util import find_spec

from pipeline.errors import ConfigError


def need(asked: str, *packages: str, extra: str) -> None:
    """Refuse what cannot be done without a package that is not there.

    Args:
        asked: what needs it, as its user wrote it.
        packages: as they are imported.
        extra: of everyframe's, that brings them.

    Raises:
        ConfigError: naming the first that is missing, and the command that brings it.
    """
    for package in packages:
        if find_spec(package) is None:
            name = package.replace("_", "-")
            raise ConfigError(f"{asked}: the package {name} is missing; pip install 'everyframe[{extra}]'")
