"""The console script as a shell sees it: words, exit codes, what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import pytest

from streamer.broker import free_port
from streamer.cli.consume import pretty
from streamer.cli.main import cli
from streamer.core.effects import Candidate, SlateItem, Template, Trigger
from tests.processes import gone, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Broker

COMMAND = [sys.executable, "-m", "streamer.cli.main"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("STREAMER_")}


def streamer(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, env=ENVIRONMENT)


def commands(command: click.Command, name: str = "streamer") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for below, child in command.commands.items():
            yield from commands(child, f"{name} {below}")


@pytest.mark.parametrize(("name", "command"), list(commands(cli)))
def test_every_command_explains_itself_with_an_example(name: str, command: click.Command):
    shown = command.get_help(click.Context(command, info_name=name))
    assert "Examples:" in shown
    assert name in shown.partition("Examples:")[2]
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_help_loads_nothing_heavy():
    """What makes `--help` slow is imports; a command makes its own when it is run."""
    program = "import sys, streamer.cli.main; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "click" in loaded
    assert not {"aiokafka", "faust", "numpy", "river", "rocksdict", "rich", "aiohttp", "jgo"} & set(loaded)


def test_a_setting_that_does_not_exist_is_refused_with_the_nearest_name():
    done = streamer("topics", "verify", "--set", "topics.partition=4")
    assert done.returncode == 78
    assert "did you mean topics.partitions?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kafka_that_does_not_answer_is_one_line_with_what_to_do():
    done = streamer("topics", "verify", "--bootstrap", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Kafka at")
    assert "`streamer broker`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["publish"], "--sample"),
        (["publish", "--sample", "--rate", "-1"], "--rate"),
        (["consume", "--topic", "brwose"], "topics describe"),
        (["worker", "--instance", "shop-0"], "--role"),
        (["worker", "--role", "users"], "'user', 'item', 'trainer'"),
        (["evaluate", "no-such-file.csv"], "no-such-file.csv"),
    ],
)
def test_misuse_is_told_in_words_of_the_command_line(arguments: list[str], words: str):
    done = streamer(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_file_of_no_known_format_is_told_and_is_no_crash(tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("these are\nno events\n")
    done = streamer("evaluate", str(file))
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


def test_evaluate_writes_the_report_it_prints(tmp_path: Path):
    file, report = tmp_path / "events.csv", tmp_path / "report.json"
    rows = [f"{1_600_000_000 + n * 60},u{n % 5},view,i{n % 7}" for n in range(100)]
    file.write_text("time,user,type,item\n" + "\n".join(rows) + "\n")
    done = streamer("evaluate", str(file), "--json", str(report), "--baselines", "cheap")
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert found["events"] == 100
    assert found["digest"] in done.stdout


def test_topics_are_created_verified_and_described(broker: Broker, prefix: str):
    where = ("--bootstrap", broker.bootstrap, "--prefix", prefix)
    missing = streamer("topics", "verify", *where)
    assert missing.returncode == 1
    assert "streamer topics create" in missing.stderr
    assert streamer("topics", "create", *where, "--set", "topics.partitions=2").returncode == 0
    assert streamer("topics", "verify", *where, "--set", "topics.partitions=2").returncode == 0
    unlike = streamer("topics", "verify", *where, "--set", "topics.partitions=3")
    assert unlike.returncode == 1
    assert "topics.partitions is 3" in unlike.stderr
    described = json.loads(streamer("topics", "describe", *where, "--json").stdout)
    assert {row["topic"]: row["partitions"] for row in described}[f"{prefix}browse"] == 2


def test_what_is_published_is_what_is_consumed(broker: Broker, prefix: str):
    where = ("--bootstrap", broker.bootstrap, "--prefix", prefix)
    refused = streamer("publish", "--sample", *where)
    assert refused.returncode == 1
    assert "streamer topics create" in refused.stderr
    assert streamer("topics", "create", *where).returncode == 0
    published = streamer("publish", "--sample", "--limit", "300", "--json", *where)
    assert published.returncode == 0, published.stderr
    report = json.loads(published.stdout)
    assert report["published"] == sum(report["by_topic"].values()) == 300
    consumed = streamer("consume", "--topic", "browse", "--from-beginning", "--idle", "2", "--json", *where)
    rows = [json.loads(line) for line in consumed.stdout.splitlines()]
    assert len(rows) == report["by_topic"]["browse"]
    assert {row["type"] for row in rows} == {"view"}
    first = streamer("consume", "--topic", "browse", "--from-beginning", "--max", "1", *where)
    assert len(first.stdout.splitlines()) == 1


def test_a_reader_that_has_had_enough_is_no_error(broker: Broker, prefix: str):
    where = ("--bootstrap", broker.bootstrap, "--prefix", prefix)
    streamer("topics", "create", *where)
    streamer("publish", "--sample", "--limit", "2000", *where)
    command = [*COMMAND, "consume", "--topic", "browse", "--from-beginning", "--idle", "2", *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as consumer:
        assert consumer.stdout is not None
        assert consumer.stderr is not None
        consumer.stdout.readline()
        consumer.stdout.close()
        assert consumer.wait(timeout=60) == 0
        assert consumer.stderr.read() == b""


def test_consume_stops_on_ctrl_c_without_a_word(broker: Broker, prefix: str):
    where = ("--bootstrap", broker.bootstrap, "--prefix", prefix)
    streamer("topics", "create", *where)
    streamer("publish", "--sample", "--limit", "10", *where)
    command = [*COMMAND, "consume", "--topic", "browse", "--from-beginning", *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as consumer:
        assert consumer.stdout is not None
        assert consumer.stderr is not None
        consumer.stdout.readline()
        consumer.send_signal(signal.SIGINT)
        assert consumer.wait(timeout=60) == 130
        assert consumer.stderr.read().strip() == b""


def test_a_worker_refuses_a_cluster_without_its_topics(broker: Broker, prefix: str, tmp_path: Path):
    flags = ("--set", f"runtime.data_dir={tmp_path}", "--set", "web.port=0")
    done = streamer("worker", "--role", "item", "--bootstrap", broker.bootstrap, "--prefix", prefix, *flags)
    assert done.returncode == 78
    assert "streamer topics create" in done.stderr


def test_inspect_says_that_nothing_is_known(broker: Broker, prefix: str):
    where = ("--bootstrap", broker.bootstrap, "--prefix", prefix)
    streamer("topics", "create", *where)
    done = streamer("inspect", "user", "nobody", *where)
    assert done.returncode == 1
    assert "nobody" in done.stderr


@pytest.mark.kafka
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_broker_command_leaves_nothing_when_stopped(how: signal.Signals):
    command = [*COMMAND, "broker", "--port", "0", "--topics"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as broker:
        assert broker.stdout is not None
        lines = [broker.stdout.readline() for _ in range(4)]
        assert "Apache Kafka answers at 127.0.0.1:" in lines[0]
        data = Path(lines[1].split()[1])
        assert data.is_dir()
        jvm = int(
            subprocess.run(
                ["pgrep", "-f", f"kafka.Kafka {data}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        broker.send_signal(how)
        assert broker.wait(timeout=60) == 0
    assert wait_for(lambda: gone(jvm))
    assert not data.exists()


def test_a_candidate_reads_as_who_what_why():
    candidate = Candidate(
        schema_version=1,
        candidate_id="c",
        dedupe_key="d",
        collapse_key="k",
        user_id="ann",
        trigger=Trigger("view", "e1", "browse", 0, 7),
        event_time="2026-01-01T10:00:00.000Z",
        decided_at="2026-01-01T10:00:00.500Z",
        campaign="next",
        channel="push",
        template=Template("next", "en", {"title": "Trail shoe"}),
        items=(SlateItem("shoe-1", 0.42, "covisitation"),),
        deep_link="app://item/shoe-1",
        priority="normal",
        expires_at="2026-01-01T12:00:00.000Z",
        score=0.42,
        propensity=1.0,
        experiments=(),
        model_version=3,
        policy_version="1",
        reasons=("often seen with what you looked at",),
    )
    shown = click.unstyle(pretty(json.loads(msgspec.json.encode(candidate))))
    for words in (
        "push to ann",
        "shoe-1",
        "Trail shoe",
        "covisitation",
        "because often seen",
        "after view e1",
        "12:00",
    ):
        assert words in shown
