"""Settings refuse what they do not know, with its path, and never show a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.config import PipelineConfig, SourceConfig, check, describe, dump, load, parse
from pipeline.errors import AddressError, ConfigError


@pytest.mark.parametrize(
    ("values", "path", "says"),
    [
        ({"batch": {"max_batc": 1}}, "batch", "max_batc"),
        ({"batch": {"max_batch": "two"}}, "batch.max_batch", "int"),
        ({"batch": {"max_batch": -1}}, "batch.max_batch", ">= 0"),
        ({"engine": "fast"}, "engine: 'fast' is not allowed", "one of auto, inline, local is"),
        ({"detector": {"layout": "x"}}, "detector.layout: 'x'", "picodet, ssd, yolo, yolox is"),
        ({"sources": [{"url": "a", "transport": "x"}]}, "sources[0].transport: 'x'", "one of multicast, tcp, udp is"),
        ({"suppress": {"method": "nms"}}, "suppress.method", "nms"),
        ({"sources": [{"url": "a.mp4", "realtime": "yes"}]}, "sources[0]", "bool"),
        ({"sources": [{"source_id": "door"}]}, "sources[0]", "url"),
        ({"tracker": {"match_iou": 1.5}}, "tracker.match_iou", "<= 1.0"),
        (["a.mp4"], "", "object"),
    ],
)
def test_a_bad_setting_is_refused_with_its_path(values: object, path: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(values)
    assert path in str(raised.value)
    assert says in str(raised.value)


def test_a_file_round_trips_through_dump(tmp_path: Path) -> None:
    written = tmp_path / "everyframe.yaml"
    written.write_text("sources: [door=rtsp://cam/a, {url: b.mp4, realtime: true}]\nbatch: {max_batch: 4}\n")
    config = check(load(written))
    written.write_text(dump(config))
    assert load(written) == config
    assert [source.source_id for source in config.source_configs] == ["door", "b"]


@pytest.mark.parametrize(
    "text",
    ["sources: [", "a: b: c", "\t- x", "!!bool x", "!!timestamp x", "!!int ''", "2001-99-99", "[" * 5000, "1" * 5000],
)
def test_broken_yaml_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.yaml.*not valid YAML"):
        load(path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "settings.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings\.yaml"):
        load(path)


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("sources: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ConfigError):
        load(path)


def test_an_empty_file_is_the_defaults_and_has_no_sources(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("")
    assert load(path) == PipelineConfig()
    with pytest.raises(ConfigError, match="sources: none given"):
        check(load(path))


def test_two_sources_of_one_name_are_refused_and_unnamed_ones_numbered() -> None:
    with pytest.raises(ConfigError, match="two are called 'door'"):
        check(parse({"sources": ["door=a.mp4", "door=b.mp4"]}))
    config = check(parse({"sources": ["x/a.mp4", "y/a.mp4", "rtsp://user:pw@10.0.0.1:554/live/1?k=v"]}))
    assert [s.source_id for s in config.source_configs] == ["a", "a-2", "10.0.0.1-554-live-1"]


@pytest.mark.parametrize("name", ["a/b", "", "..", "x y", "ü", "n" * 65])
def test_a_name_that_could_not_be_a_topic_is_refused(name: str) -> None:
    with pytest.raises((AddressError, ConfigError)):
        check(PipelineConfig(sources=[SourceConfig(url="a.mp4", source_id=name or "/")]))


@pytest.mark.parametrize("url", ["concat:a|b", "subfile,,start,0,end,9,,:x", "ftp://host/a.mp4", "pipe:0", "data:x"])
def test_schemes_that_open_other_things_are_refused(url: str) -> None:
    if ":" in url and not url.startswith("subfile"):
        with pytest.raises(AddressError, match="allowed are rtsp"):
            check(PipelineConfig(sources=[SourceConfig(url=url, source_id="a")]))
    else:
        assert check(PipelineConfig(sources=[SourceConfig(url=url, source_id="a")])).source_configs[0].lossless


def test_low_above_high_score_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tracker\.low_score"):
        check(parse({"sources": ["a.mp4"], "tracker": {"low_score": 0.9}}))


def test_every_setting_is_described_with_its_default() -> None:
    rows = describe()
    assert {"sources.url", "batch.max_batch", "supervisor.stop_seconds"} <= {path for path, _, _ in rows}
    undescribed = [path for path, _, description in rows if not description]
    assert undescribed == []


def test_what_is_dumped_is_yaml_without_secrets() -> None:
    config = parse({"sources": ["door=rtsp://u:hunter2@host/a?token=s3cret", {"url": "rtsp://u:hunter2@host/b"}]})
    for text in (dump(config), dump(check(config))):
        assert "hunter2" not in text
        assert "s3cret" not in text
        yaml.safe_load(text)
