"""Passwords in 200 generated addresses, taken through all that can be done with an address: told nowhere.

What was said is searched for a mark that each secret has in it: raw, percent-encoded once and twice, and in base64 at
every alignment. `secrets.py` makes the addresses and searches.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from pipeline.address import has_password
from pipeline.cli.app import execute
from pipeline.config import SourceConfig, check, expand, load, parse
from pipeline.control.added import AddedSources
from pipeline.control.attendance import attended
from pipeline.engines.local import LocalEngine
from pipeline.errors import EveryframeError
from stages.decode import open_source
from tests.cameras import Answer, RtspCamera, numbered_video
from tests.faults.fixtures import Cameras, Seen
from tests.faults.running import DEADLINE_SECONDS, children_of
from tests.faults.secrets import COUNT, MARK, Case, Forms, Places, aligned, found
from tests.pipeline.cli.command_line import started
from tests.pipeline.control.fakes import FakeEngine
from tests.reading import chained_texts

FAULT = pytest.mark.fault(
    "password in exceptions, `repr(container)`, argv, logs",
    promise="not one hit, raw, percent-encoded or in base64",
)
FAULTS_OF_FILES = (
    "sources:\n- url: {url}\n  transprt: tcp\n",
    "sources:\n- url: {url}\n  open_timeout_seconds: -1\n",
    "sources:\n- {url}\n- [{url}]\n",
    "sources: {{{url}: 1}}\n",
    "{url}: 1\n",
    "sources: [{url}\n",
    "sources:\n- {url}\n bad: {url}\n",
    "sources:\n- url: {url}\n  transport: {url}\n",
    "sources: [{{source_id: {url}, url: {url}}}]\n",
    "batch: {{max_batch: {url}}}\n",
)


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """A host and a port at which nobody listens; it is kept, so that nobody else comes to listen there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def cases(refusing: str, monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The addresses; what they need of the environment is there."""
    made = list(Forms(refusing).cases())
    for case in made:
        for name, value in case.environment.items():
            monkeypatch.setenv(name, value)
    assert len(made) == COUNT
    assert all(MARK in expand(case.url) or not case.environment for case in made)
    return made


class Shell:
    """The command in this process; what it prints is kept to be searched."""

    def __init__(self, capsys: pytest.CaptureFixture[str], places: Places) -> None:
        self._capsys, self._places = capsys, places

    def __call__(self, place: str, *arguments: str) -> tuple[int, str]:
        """Run it; its exit code, and what went to the error stream."""
        code = execute(arguments)
        printed = self._capsys.readouterr()
        self._places.add(f"{place}, output", printed.out)
        self._places.add(f"{place}, errors", printed.err)
        return code, printed.err


@FAULT
def test_the_search_finds_a_secret(seen: Seen) -> None:
    """In every form, whatever stands around it."""
    from base64 import b64encode, urlsafe_b64encode
    from urllib.parse import quote

    secret = f"é{MARK}123"
    everywhere = "".join(f"%{byte:02x}" for byte in secret.encode())
    forms = [secret, secret.lower(), quote(secret), quote(quote(secret)), everywhere]
    forms += [
        coder(f"{user}:{secret}@x".encode()).decode()
        for coder in (b64encode, urlsafe_b64encode)
        for user in ("", "u", "us")
    ]
    assert [form for form in forms if not list(found(f"before {form} after"))] == []
    assert list(found("Zq7, Canary, nothing")) == []
    assert min(map(len, aligned(MARK.encode()))) >= 10
    seen(f"{len(forms)} forms of a secret, each found")


@FAULT
def test_on_the_command_line(cases: list[Case], capsys: pytest.CaptureFixture[str], seen: Seen) -> None:
    places = Places()
    shell = Shell(capsys, places)
    commands: tuple[tuple[str, ...], ...] = (
        ("run", "door={}", "--print-config", "--debug"),
        ("run", "{}", "--no-such-option", "--debug"),
        ("run", "{}", "--score", "9", "--log-format", "json", "--debug"),
        ("probe", "{}", "--seconds", "none", "--debug"),
        ("source", "add", "front door={}", "--pipeline", "nobody", "--debug"),
        ("watch", "--topic", "{}", "--debug"),
        ("run", "--config", "{}", "--debug"),
    )
    for case in cases:
        for arguments in (("run", "{}", "--print-config"), commands[case.number % len(commands)]):
            shell(arguments[0], *(argument.format(case.url) for argument in arguments))
    assert places.hits() == []
    seen(f"{COUNT} addresses, {len(places)} outputs of {len(commands)} commands, tracebacks included: 0 hits")


@FAULT
def test_in_configuration_files(
    cases: list[Case], tmp_path: Path, capsys: pytest.CaptureFixture[str], seen: Seen
) -> None:
    places = Places()
    shell = Shell(capsys, places)
    path = tmp_path / "site.yaml"
    for case in cases:
        path.write_text(yaml.safe_dump({"sources": [case.url, {"url": case.url, "source_id": "b"}]}))
        shell("--print-config", "run", "--config", str(path), "--print-config")
        quoted = json.dumps(case.url, ensure_ascii=False)
        for written in (quoted, case.url):
            fault = FAULTS_OF_FILES[(case.number + (written is quoted)) % len(FAULTS_OF_FILES)]
            path.write_text(fault.format(url=written))
            shell("a faulty file", "run", "--config", str(path), "--print-config", "--debug")
            try:
                check(load(path))
            except EveryframeError as exc:
                for text in chained_texts(exc):
                    places.add("a program's error", text)
    assert places.hits() == []
    seen(f"{COUNT} addresses in good and in faulty files, {len(places)} outputs and errors: 0 hits")


@FAULT
def test_where_cameras_refuse(cases: list[Case], seen: Seen) -> None:
    """Refused connections, 401, 404: everything that an error and what is chained to it would print."""
    places = Places()
    tried = 0
    with (
        RtspCamera(numbered_video(2), user="somebody", password="else") as strict,
        RtspCamera(numbered_video(2), behaviour=Answer(404)) as empty,
    ):
        for case in cases:
            ports = (None, strict.port, empty.port)
            source = SourceConfig(url=_moved(case, ports[case.number % 3]), source_id="cam", open_timeout_seconds=5)
            places.add("repr of settings that are shown", source.shown)
            if not (case.is_local or case.environment):
                continue
            tried += 1
            with pytest.raises(EveryframeError) as caught, closing(open_source(source, next_epoch=count(1).__next__)):
                pass
            for text in chained_texts(caught.value):
                places.add("an error of opening", text)
        refused = strict.statistics.requests["DESCRIBE"] + empty.statistics.requests["DESCRIBE"]
    assert tried > COUNT // 2
    assert refused > 20
    assert places.hits() == []
    seen(f"{tried} addresses tried, {len(places)} messages, causes and tracebacks: 0 hits")


def _moved(case: Case, port: int | None) -> str:
    """The address, at another port of this machine."""
    return case.url if port is None else re.sub(r"(?<=127\.0\.0\.1:)\d+", str(port), case.url)


@FAULT
def test_sources_of_a_pipeline_that_runs(
    cases: list[Case], tmp_path: Path, capsys: pytest.CaptureFixture[str], seen: Seen
) -> None:
    """`source add`, `list` and `remove`; the file of added sources alone has what was given, for its owner's eyes."""
    places = Places()
    shell = Shell(capsys, places)
    name = tmp_path.name
    settings = {"sources": ["a=rtsp://192.0.2.1/a"], "supervisor": {"state_directory": str(tmp_path), "name": name}}
    engine = FakeEngine("a=rtsp://192.0.2.1/a", most=COUNT + 1)
    kept: dict[str, str] = {}
    warned = 0
    with attended(check(parse(settings)), config_file=None, reread=None) as attendance:
        attendance.serve(engine)
        for case in cases:
            code, errors = shell("source add", "source", "add", f"s{case.number}={case.url}", "-p", name)
            if code == 0:
                kept[f"s{case.number}"] = case.url
                assert ("${CAMERA_PASSWORD}" in errors) == has_password(case.url)
                warned += "${CAMERA_PASSWORD}" in errors
            if case.number % 20 == 0:
                shell("source list", "source", "list", "-p", name)
                shell("source list", "source", "list", "--format", "json", "-p", name)
                shell("source remove", "source", "remove", f"{case.url}", "-p", name, "--debug")
        store = AddedSources(name, tmp_path)
        live = {source_id: source.url for source_id, source in store.load().items()}
        assert live == {source_id: url for source_id, url in kept.items() if source_id in live}
        assert len(live) > COUNT // 2
        assert {stat.S_IMODE(store.path.stat().st_mode)} == {0o600}
        for case in cases:
            if case.environment and not case.literal:
                assert not [value for value in case.environment.values() if value in store.path.read_text()]
        for path in tmp_path.rglob("*"):
            if path.is_file() and path != store.path:
                places.add("files", path.read_bytes())
        for source_id in kept:
            shell("source remove", "source", "remove", source_id, "-p", name)
    assert store.load() == {}
    assert MARK not in store.path.read_text()
    assert warned > COUNT // 4
    assert places.hits() == []
    seen(
        f"{len(kept)} added, listed, removed, {warned} warned of with ${{...}} to write instead; {len(places)} "
        "outputs: 0 hits; kept as given, ${...} as such, in one file of mode 0600"
    )


@FAULT
def test_workers_that_crash_with_a_traceback(
    cases: list[Case], tmp_path: Path, capfd: pytest.CaptureFixture[str], seen: Seen
) -> None:
    """An error that nobody expected, with the address in it and in its cause, under --debug."""
    places = Places()
    some = [case for case in cases if case.is_local or case.environment][:: COUNT // 10][:4]
    settings = {
        "sources": [{"url": case.url, "source_id": f"s{case.number}"} for case in some],
        "publish": {"bind": None},
        "detector": "model",
        "supervisor": {"state_directory": str(tmp_path)},
    }
    with LocalEngine(check(parse(settings)), builder="tests.faults.crashing_build", debug=True) as engine:
        engine.start()
        until = time.monotonic() + DEADLINE_SECONDS
        crashed: set[str] = set()
        while len(crashed) < len(some):
            assert time.monotonic() < until, engine.complaints
            text = "\n".join(engine.complaints)
            crashed = {f"s{case.number}" for case in some if re.search(rf"\bs{case.number}\b.*failed", text)}
            time.sleep(0.02)
        events, _ = engine.events_since(0)
        places.add("statuses", repr(engine.statistics()))
    for text in (*engine.complaints, *(repr(event) for event in events)):
        places.add("complaints", text)
    printed = capfd.readouterr()
    places.add("the workers' error stream", printed.err + printed.out)
    assert "Traceback" in places.said("complaints")
    assert places.hits() == []
    seen(f"{len(some)} workers crashed with the address in the error: {len(places)} complaints and events: 0 hits")


@FAULT
def test_a_whole_run(refusing: str, rtsp_camera: Cameras, tmp_path: Path, seen: Seen) -> None:
    """The command itself with its workers: streams, logs, every process's arguments and environment, what is
    published, answered and written."""
    import zmq

    strict = rtsp_camera(user="somebody", password="else")
    empty = rtsp_camera(behaviour=Answer(404))
    places = Places()
    made = [case for case in Forms(refusing, seed=7).cases(60) if case.is_local or case.environment]
    ports = (None, strict.port, empty.port)
    chosen = made[:: len(made) // 6][:6]
    sources = {f"s{i}": _moved(case, ports[i % 3]) for i, case in enumerate(chosen)}
    environment = {name: value for case in chosen for name, value in case.environment.items()}
    config = tmp_path / "site.yaml"
    values = {
        "sources": [{"url": url, "source_id": name} for name, url in sources.items()],
        "detector": "none",
        "supervisor": {"state_directory": str(tmp_path / "state"), "name": tmp_path.name, "retry_first_seconds": 0.2},
    }
    config.write_text(yaml.safe_dump(values))
    options = ("--log-format", "json", "--log-level", "debug", "--debug", "--api", "127.0.0.1:0")
    options += ("--publish", "tcp://127.0.0.1:*", "-o", str(tmp_path / "out"), "-c", str(config))
    run = started("run", *options, **environment)
    assert run.stderr is not None
    log: list[dict[str, Any]] = []
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.linger, subscriber.rcvtimeo = 0, int(DEADLINE_SECONDS * 1000)
        subscriber.subscribe(b"")
        refused: set[str] = set()
        for line in run.stderr:
            places.add("the log", line)
            log.append(json.loads(line))
            if log[-1]["event"] == "run_started":
                subscriber.connect(log[-1]["address"])
            if log[-1].get("state") in ("FAULTED", "UNAUTHORIZED", "NOT_FOUND", "UNSUPPORTED"):
                refused.add(log[-1]["source_id"])
            if refused >= sources.keys():
                break
        assert refused == sources.keys(), log
        _processes(run.pid, environment, places)
        statuses: set[bytes] = set()
        while len(statuses) < len(sources):
            message = subscriber.recv_multipart()
            statuses.add(message[0])
            places.add("messages over ZeroMQ", b"\n".join(message))
    api = log[0]["api"]
    for path in ("metrics", "healthz", "readyz", "nothing"):
        with suppress(OSError), urlopen(f"{api}/{path}", timeout=DEADLINE_SECONDS) as answer:
            places.add(f"/{path}", answer.read())
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=DEADLINE_SECONDS)
    places.add("the log", err)
    places.add("output", out)
    for path in (*(tmp_path / "out").rglob("*"), *(tmp_path / "state").rglob("*")):
        if path.is_file():
            places.add("files", f"{path}\n{path.read_text(errors='replace')}")
    assert places.said("/metrics")
    assert places.hits() == []
    given_up = sorted({event["state"] for event in log if event["event"] == "source_state"} - {"CONNECTING"})
    seen(
        f"{len(sources)} cameras, {', '.join(given_up)}; log, arguments, messages, answers, files: "
        f"{len(places)} texts, 0 hits"
    )


@FAULT
def test_a_whole_run_in_text(refusing: str, rtsp_camera: Cameras, tmp_path: Path, seen: Seen) -> None:
    """The same for people, the addresses among the arguments: those of our own process alone show them."""
    places = Places()
    strict, empty = rtsp_camera(user="somebody", password="else"), rtsp_camera(behaviour=Answer(404))
    chosen = [case for case in Forms(refusing, seed=8).cases(30) if case.is_local and case.literal][:3]
    sources = {f"s{i}": _moved(case, (None, strict.port, empty.port)[i]) for i, case in enumerate(chosen)}
    config = tmp_path / "site.yaml"
    supervisor = {"state_directory": str(tmp_path / "state"), "name": tmp_path.name}
    config.write_text(yaml.safe_dump({"detector": "none", "publish": {"bind": None}, "supervisor": supervisor}))
    run = started("run", *(f"{name}={url}" for name, url in sources.items()), "-c", str(config), "--debug")
    assert run.stdout is not None
    told: set[str] = set()
    for line in run.stdout:
        places.add("output", line)
        state = re.match(r"(s\d): (faulted|unauthorized|not found)", line)
        told |= {state[1]} if state else set()
        if told == sources.keys():
            break
    for each in children_of(run.pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            places.add("arguments", Path(f"/proc/{each}/cmdline").read_bytes())
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=DEADLINE_SECONDS)
    assert told == sources.keys(), out + err
    places.add("output", out)
    places.add("errors", err)
    assert err.count("${CAMERA_PASSWORD}") == sum(map(has_password, sources.values())) > 0
    assert places.hits() == []
    seen(f"{len(sources)} cameras with passwords among the arguments, warned of; {len(places)} texts, 0 hits")


def _processes(pid: int, environment: dict[str, str], places: Places) -> None:
    """What every process shows of itself: its arguments, and of its environment all but what it was given there."""
    pids = [pid, *children_of(pid)]
    assert len(pids) > 6
    for each in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            places.add("arguments", Path(f"/proc/{each}/cmdline").read_bytes())
            for entry in Path(f"/proc/{each}/environ").read_bytes().split(b"\0"):
                if entry.decode().partition("=")[0] not in environment:
                    places.add("environment", entry)


@FAULT
def test_a_probe(
    refusing: str, rtsp_camera: Cameras, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], seen: Seen
) -> None:
    """Both forms of the report, and how its process was started."""
    really, places = subprocess.Popen, Places()

    def start(arguments: list[str], **options: Any) -> Any:
        places.add("arguments of the process", repr(arguments))
        places.add("its environment", repr({k: v for k, v in options["env"].items() if os.environ.get(k) != v}))
        return really(arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    strict = rtsp_camera(user="somebody", password="else")
    url = f"rtsp://viewer:{MARK}%40x{MARK}@127.0.0.1:{strict.port}/stream?token={MARK}"
    for address, form in ((url, "text"), (url.replace(str(strict.port), refusing.rpartition(":")[2]), "json")):
        assert execute(["probe", address, "--format", form, "--debug"]) == 1
        printed = capfd.readouterr()
        places.add("output", printed.out)
        places.add("errors", printed.err)
        assert "write 'rtsp://USER:${CAMERA_PASSWORD}@127.0.0.1" in printed.err
    assert "not usable" in places.said("output")
    assert places.hits() == []
    seen(f"2 probes, unauthorized and refused: {len(places)} texts, 0 hits; the password in the arguments warned of")
