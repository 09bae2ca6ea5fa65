"""One module a target: `one_input(data)` raises for what must not happen, `seeds()` gives inputs that are right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

# What each reads, and how long an input may be.
TARGETS: dict[str, tuple[str, int]] = {
    "added": ("the file of sources that were added while running", 2048),
    "address": ("source addresses: parsing, showing, scrubbing; no secret in anything shown", 512),
    "card": ("the JSON card beside a model", 2048),
    "config": ("a configuration file", 4096),
    "connect": ("where a reader connects and a publisher binds", 256),
    "control": ("a request to a running pipeline, and its reply", 2048),
    "detector": ("a foreign detector, built and tried", 4096),
    "http": ("a head of HTTP for health and metrics", 1024),
    "idmap": ("a coded id map", 4096),
    "json_form": ("a line of results.jsonl", 8192),
    "onnx": ("a foreign detector or segmenter, up to its layout", 4096),
    "rtsp": ("what an RTSP camera answers before it is opened", 4096),
    "state": ("a file of epochs", 256),
    "topics": ("topics, requests and subscriptions", 256),
    "truth": ("the truth beside a rendered clip", 4096),
    "wire": ("headers, results, gaps and statuses as bytes", 8192),
}


@dataclass(frozen=True, slots=True)
class Target:
    """Something of ours that reads foreign bytes."""

    name: str
    longest: int  # bytes of an input
    one_input: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]


def load(name: str) -> Target:
    """The target of that name, imported."""
    module = import_module(f"{__name__}.{name}")
    return Target(name, TARGETS[name][1], module.one_input, module.seeds)
