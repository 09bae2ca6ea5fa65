"""Settings explained: every field with its default and its description, read off the types themselves."""

from __future__ import annotations

import msgspec
import msgspec.inspect
import yaml


def describe(settings: type[msgspec.Struct], prefix: str = "") -> list[tuple[str, str, str]]:
    """Every field as (path, default, description), nested settings included, in order."""
    rows: list[tuple[str, str, str]] = []
    info = msgspec.inspect.type_info(settings)
    assert isinstance(info, msgspec.inspect.StructType)
    for f in info.fields:
        path = f"{prefix}{f.encode_name}"
        default = "required" if f.required else _default(f)
        rows.append((path, default, _description(f.type)))
        for nested in _nested(f.type):
            tag = nested.__struct_config__.tag  # of one kind among several
            rows.extend(describe(nested, f"{path}." if tag is None else f"{path}[{tag}]."))
    return rows


def _default(f: msgspec.inspect.Field) -> str:
    value = f.default if f.default is not msgspec.NODEFAULT else f.default_factory()
    if isinstance(value, msgspec.Struct):
        return ""
    return str(yaml.safe_dump(value, default_flow_style=True, width=10_000)).removesuffix("...\n").strip()


def _description(info: msgspec.inspect.Type) -> str:
    if isinstance(info, msgspec.inspect.Metadata):
        text = str((info.extra_json_schema or {}).get("description", ""))
        choices = _choices(info.type)
        return f"{text} One of: {', '.join(choices)}." if choices else text
    if isinstance(info, msgspec.inspect.StructType):
        return (info.cls.__doc__ or "").strip()
    return ""


def _choices(info: msgspec.inspect.Type) -> list[str]:
    return [str(value) for value in info.values] if isinstance(info, msgspec.inspect.LiteralType) else []


def _nested(info: msgspec.inspect.Type) -> list[type[msgspec.Struct]]:
    if isinstance(info, msgspec.inspect.Metadata):
        return _nested(info.type)
    if isinstance(info, msgspec.inspect.StructType):
        return [info.cls]
    if isinstance(info, msgspec.inspect.UnionType):
        return [cls for option in info.types for cls in _nested(option)]
    if isinstance(info, msgspec.inspect.ListType):
        return _nested(info.item_type)
    return []
