import pytest
import yaml

from pipeline.cli.annotated_yaml import annotated
from pipeline.cli.run_settings import check_outputs, settings
from pipeline.config import PipelineConfig, describe, parse
from pipeline.errors import ConfigError
from tests.pipeline.cli.command_line import everyframe

FILE = """
sources: [{url: a.mp4, source_id: one}, two=b.mp4]
detector: {model: x.onnx, score_threshold: 0.2, threads: 3}
publish: {bind: null}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(FILE)
    return str(path)


def test_nothing_said_gives_the_defaults_written_out():
    assert settings(["a.mp4"], None, {}) == parse({"sources": ["a.mp4"]}).resolved()


def test_the_file_is_taken_as_it_is(file):
    config = settings([], file, {"detector": {"model": None}, "engine": None})
    assert [source.source_id for source in config.source_configs] == ["one", "two"]
    assert config.detector_config.threads == 3
    assert config.publish.bind is None


def test_what_is_said_stands_in_the_files_place_and_leaves_the_rest(file):
    said = {
        "detector": {"score_threshold": 0.6},
        "publish": {"bind": "tcp://127.0.0.1:0"},
        "sources": {"realtime": True, "transport": "udp"},
        "segmenter": {"model": "s.onnx"},
    }
    config = settings(["c.mp4"], file, said)
    assert [(s.source_id, s.realtime, s.transport) for s in config.source_configs] == [("c", True, "udp")]
    assert (config.detector_config.model, config.detector_config.score_threshold) == ("x.onnx", 0.6)
    assert config.publish.bind == "tcp://127.0.0.1:0"
    assert config.segmenter_config is not None
    assert config.segmenter_config.model == "s.onnx"


def test_settings_for_every_source_leave_their_others(file):
    config = settings([], file, {"sources": {"realtime": True}})
    assert [(s.source_id, s.realtime) for s in config.source_configs] == [("one", True), ("two", True)]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (
            {"export": {"savant": "x.jsonl", "frigate": "./x.jsonl"}},
            "output.export.frigate: .*written as output.export.s",
        ),
        (
            {"export": {"savant": "out/results.jsonl"}, "directory": "out"},
            "output.export.savant: .*output.directory too",
        ),
        ({"export": {"roboflow": "clip.mp4"}}, "output.export.roboflow: clip.mp4 is the source 'clip'"),
        ({"annotate": "clip.mp4"}, "output.annotate: clip.mp4 is the source 'clip'"),
    ],
)
def test_no_file_is_written_twice_or_over_what_is_read(tmp_path, monkeypatch, output, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"footage")
    with pytest.raises(ConfigError, match=says):
        check_outputs(settings(["clip.mp4"], None, {"output": output}))


def test_an_export_is_a_format_that_there_is_and_a_file():
    refused = everyframe("run", "a.mp4", "--export", "avant=x.jsonl")
    assert refused.returncode == 2
    assert "output.export: Object contains unknown field `avant`" in refused.stderr
    assert "'savant' is not FORMAT=FILE" in everyframe("run", "a.mp4", "--export", "savant").stderr


def test_publishing_can_be_switched_off():
    assert settings(["a.mp4"], None, {"publish": {"bind": "none"}}).publish.bind is None


def test_a_value_out_of_range_is_refused_with_its_path():
    with pytest.raises(ConfigError, match=r"command line: detector\.score_threshold"):
        settings(["a.mp4"], None, {"detector": {"score_threshold": 2.0}})


def test_all_flags_reach_the_settings(tmp_path):
    (tmp_path / "z.yaml").write_text("{coordinates: fractions, lines: [{name: a, points: [[0, 0], [1, 1]]}]}")
    done = everyframe(
        *("run", "door=rtsp://h/a", "--detector", "d.onnx", "--segmenter", "s.onnx", "--score", "0.4"),
        *(
            "--classes",
            "person, car",
            "--output",
            "out",
            "--annotate",
            "out.mp4",
            "--publish",
            "ipc://@x",
            "--realtime",
        ),
        *("--export", "savant=s.jsonl", "--export", "frigate=f.jsonl"),
        *("--zones", "z.yaml", "--events", "e.jsonl"),
        *("--transport", "udp", "--engine", "inline", "--backend", "onnxruntime", "--precision", "f32"),
        "--print-config",
        cwd=tmp_path,
    )
    values = yaml.safe_load(done.stdout)
    assert values["sources"][0]["source_id"] == "door"
    assert values["sources"][0]["realtime"] is True
    assert values["sources"][0]["transport"] == "udp"
    detector = {k: values["detector"][k] for k in ("model", "score_threshold", "classes", "backend", "precision")}
    assert detector == {
        "model": "d.onnx",
        "score_threshold": 0.4,
        "classes": ["person", "car"],
        "backend": "onnxruntime",
        "precision": "f32",
    }
    assert values["segmenter"]["model"] == "s.onnx"
    assert values["engine"] == "inline"
    assert values["publish"]["bind"] == "ipc://@x"
    export = {"savant": "s.jsonl", "deepstream": None, "roboflow": None, "frigate": "f.jsonl"}
    assert values["output"] == {"directory": "out", "annotate": "out.mp4", "export": export, "events": "e.jsonl"}
    assert values["zones"] == "z.yaml"


def test_what_print_config_prints_is_a_configuration(tmp_path):
    printed = everyframe("run", "a.mp4", "--score", "0.4", "--print-config", cwd=tmp_path).stdout
    (tmp_path / "printed.yaml").write_text(printed)
    again = everyframe("run", "--config", "printed.yaml", "--print-config", cwd=tmp_path).stdout
    assert again == printed
    assert again


def test_the_annotated_settings_read_back_as_themselves():
    for config in (
        PipelineConfig(),
        parse({"sources": ["a.mp4", {"url": "b.mp4"}], "segmenter": {"model": "s.onnx"}, "detector": "x.onnx"}),
        parse({"segmenter": "s.onnx"}),
    ):
        assert parse(yaml.safe_load(annotated(config))) == config


def test_every_setting_is_annotated():
    text = annotated(PipelineConfig())
    for path, _, description in describe():
        assert f"{path.rpartition('.')[2]}:" in text
        assert description.split(";")[0].split(",")[0][:40] in text
    assert max(len(line) for line in text.splitlines()) < 130


def test_the_command_prints_them(tmp_path):
    printed = everyframe("config").stdout
    assert printed == annotated(PipelineConfig())
    (tmp_path / "e.yaml").write_text("batch: {max_batch: 4}\n")
    assert "max_batch: 4" in everyframe("config", "-c", "e.yaml", cwd=tmp_path).stdout


def test_a_layout_is_named_or_refused_with_those_there_are():
    shown = everyframe("run", "a.mp4", "--detector", "x.onnx", "--layout", "yolox", "--print-config")
    assert yaml.safe_load(shown.stdout)["detector"]["layout"] == "yolox"
    refused = everyframe("run", "a.mp4", "--layout", "rcnn")
    assert refused.returncode == 2
    assert "'rcnn' is not allowed; one of auto, fastestdet, nano" in refused.stderr
