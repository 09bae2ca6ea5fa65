"""Reading YAML that a person wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.address import redact
from pipeline.errors import ConfigError


def read_yaml(path: str | Path, *, what: str) -> Any:
    """The document as plain values; None for an empty one. Raises `ConfigError` naming the file, as a `what`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: cannot be read as a {what}: {exc}") from exc
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as exc:  # `!!bool x`, `[` * 1000
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = redact(getattr(exc, "problem", None) or "cannot be parsed")
    raise ConfigError(f"{path}{where}: not valid YAML: {problem}")  # not chained: YAML's errors quote the line
