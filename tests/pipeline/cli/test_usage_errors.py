import pytest

from pipeline.cli.app import execute
from tests.pipeline.cli.command_line import everyframe, one_line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fly"], "'fly' is not a command; run, process, "),
        (["--fast"], "'--fast' is not a command"),
        (["run"], "sources: none given; name at least one camera URL or file"),
        (["run", "a.mp4", "--fast"], "unrecognized arguments: --fast; 'everyframe run --help' shows"),
        (["run", "a.mp4", "--engine", "ray"], "--engine: invalid choice: 'ray' (choose from"),
        (["run", "a.mp4", "--output"], "-o/--output: expected one argument"),
        (["run", "a.mp4", "--score", "high"], "--score: invalid float value: 'high'"),
        (["run", "a.mp4", "--score", "1.5"], "detector.score_threshold: Expected `float` <= 1.0"),
        (["run", "a.mp4", "--classes", ","], "--classes: no name is given"),
        (["run", "ftp://host/a"], "has the scheme 'ftp'; allowed are rtsp, rtsps, http, https, webcam, file"),
        (["run", "concat:a.mp4|b.mp4"], "has the scheme 'concat'"),
        (
            ["run", "/etc/hostname", "--files-root", "/usr"],
            "hostname: /etc/hostname lies outside files_root; only files",
        ),
        (["probe", "/etc/hostname", "--files-root", "/usr"], "hostname: /etc/hostname lies outside files_root"),
        (["run", "a.mp4", "--files-root", "nowhere-at-all"], "nowhere-at-all is no folder; name one that is there"),
        (["run", "all.yaml"], "source all.yaml: is no video; a configuration is given as --config all.yaml"),
        (["run", "front door=a.mp4"], "source name 'front door' is not allowed"),
        (["run", "a=1.mp4", "a=2.mp4"], "two are called 'a'; every source needs its own name"),
        (["run", "rtsp://viewer:${NO_SUCH_VARIABLE}@host/a"], "needs the environment variable NO_SUCH_VARIABLE"),
        (["run", "--config", "missing.yaml"], "missing.yaml: cannot be read as a configuration file"),
        (["config", "--config", "missing.yaml"], "missing.yaml: cannot be read as a configuration file"),
        (["watch", "--config", "missing.yaml"], "missing.yaml: cannot be read as a configuration file"),
        (["watch", "here"], "'here' is not an address to subscribe at; tcp://HOST:PORT"),
        (["watch", "--topic", "door/sounds"], "kind 'sounds' is unknown; one of"),
        (["watch", "--count", "0"], "-n/--count: 0 is too small; 1 or more is needed"),
        (["watch", "--timeout", "soon"], "--timeout: 'soon' is not a number"),
        (["version", "now"], "unrecognized arguments: now"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert execute(arguments) == 2
    printed = capsys.readouterr()
    line = one_line(printed.err)
    assert line.startswith("everyframe: ")
    assert told in line
    assert printed.out == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("detektor: x.onnx\n", "detektor"),
        ("batch: {max_batch: many}\n", "batch.max_batch: Expected `int`, got `str`"),
        ("sources: [{url: a.mp4, speed: 3}]\n", "sources[0]: Object contains unknown field `speed`"),
        ("detector: {model: [\n", "line 2: not valid YAML"),
        ("- a\n", "Expected `object`, got `array`"),
        ("tracker: {low_score: 0.9, high_score: 0.2}\nsources: [a.mp4]\n", "tracker.low_score: 0.9 is above"),
        ("model: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_a_broken_configuration_is_told_of_with_its_path(text, told, tmp_path, capsys):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    assert execute(["run", "--config", str(path)]) == 2
    assert told in one_line(capsys.readouterr().err)


def test_debug_adds_the_traceback():
    done = everyframe("run", "--debug")
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("everyframe: sources: none given")
    assert done.returncode == 2


def test_files_named_like_a_command_can_be_given_among_options(tmp_path):
    done = everyframe("run", "a.mp4", "--quiet", "b.mp4", "--print-config", cwd=tmp_path)
    assert done.returncode == 0
    assert "url: a.mp4" in done.stdout
    assert "url: b.mp4" in done.stdout


@pytest.mark.parametrize("target", ["clip.mp4", "./clip.mp4", "link.mp4"])
def test_footage_is_not_drawn_over(target, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_text("footage")
    (tmp_path / "link.mp4").symlink_to("clip.mp4")
    assert execute(["run", "clip.mp4", "--annotate", target]) == 2
    assert "is the source 'clip'; name another file" in one_line(capsys.readouterr().err)
    assert (tmp_path / "clip.mp4").read_text() == "footage"


def test_a_video_that_is_there_does_not_hide_that_the_footage_is_missing(tmp_path):
    (tmp_path / "out.mp4").write_text("")
    done = everyframe("run", "missing.mp4", "--annotate", "out.mp4", "--engine", "inline", cwd=tmp_path)
    assert (done.returncode, one_line(done.stderr)) == (1, "everyframe: missing: missing.mp4 does not exist")


def test_nor_is_one_of_several(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out-yard.mp4").write_text("footage")
    assert execute(["run", "yard=out-yard.mp4", "rtsp://host/a", "--annotate", "out.mp4"]) == 2
    assert "out-yard.mp4 is the source 'yard'" in one_line(capsys.readouterr().err)
