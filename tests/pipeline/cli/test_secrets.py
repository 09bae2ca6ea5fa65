"""No password on any stream, however the command is misused."""

import base64
from urllib.parse import quote, unquote

import pytest

from pipeline.cli.app import execute
from tests.pipeline.cli.command_line import everyframe

CANARY = "canary7hunter2"
ADDRESSES = [
    f"rtsp://viewer:{CANARY}@host.invalid/a",
    f"rtsp://viewer:{CANARY}%40end@host.invalid:8554/a?channel=1",
    f"rtsp://viewer:with/slash{CANARY}@host.invalid/a",
    f"rtsp://:{CANARY}@host.invalid/",
    f"http://host.invalid/video?token={CANARY}",
    f"ftp://viewer:{CANARY}@host.invalid/a",
    f"redis://:{CANARY}@host.invalid:6379/0",
    f"mqtts://viewer:{CANARY}@host.invalid",
]


def leaks(text):
    forms = {CANARY, quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode().rstrip("=")}
    return [form for form in forms if form in text or form in unquote(text)]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "{}", "--print-config"],
        ["run", "door={}", "--print-config", "--debug"],
        ["run", "{}", "--no-such-option"],
        ["run", "--no-such-option", "{}", "--debug"],
        ["run", "a.mp4", "--redis", "{}", "--print-config"],
        ["run", "a.mp4", "--redis", "{}", "--score", "9", "--debug"],
        ["run", "a.mp4", "--mqtt", "{}", "--print-config"],
        ["run", "a.mp4", "--mqtt", "{}", "--score", "9", "--debug"],
        ["run", "a.mp4", "--webhook", "{}", "--print-config"],
        ["run", "a.mp4", "--webhook", "{}", "--debug"],
        ["run", "{}", "{}", "--score", "9", "--debug"],
        ["run", "front door={}", "--debug"],
        ["run", "--engine={}", "a.mp4"],
        ["run", "--config", "{}"],
        ["watch", "{}", "--timeout", "0.2"],
        ["watch", "--topic", "{}"],
        ["{}"],
        ["version", "{}", "--debug"],
    ],
)
def test_a_password_in_the_arguments_is_not_shown(address, arguments, capsys):
    execute([argument.format(address) for argument in arguments])
    printed = "".join(capsys.readouterr())
    assert leaks(printed) == []
    assert printed


def test_nor_is_one_from_a_file(tmp_path, capsys):
    path = tmp_path / "e.yaml"
    path.write_text(f"sources: ['rtsp://v:{CANARY}@h/a', {{url: 'rtsp://v:{CANARY}@h/b'}}]\n")
    for arguments in (["config", "--config", str(path)], ["run", "--config", str(path), "--print-config"]):
        assert execute(arguments) == 0
        printed = "".join(capsys.readouterr())
        assert leaks(printed) == []
        assert "rtsp://***@h/b" in printed


def test_nor_is_one_from_the_environment():
    done = everyframe("run", "rtsp://v:${CAM}@h/a", "--print-config", CAM=CANARY)
    assert done.returncode == 0
    assert leaks(done.stdout + done.stderr) == []
