"""What can be known of docker-compose.yml and the Dockerfile without an engine."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from agents.settings import WebSettings
from agents.worker import ROLES
from streamer.settings import leaves, load

ROOT = Path(__file__).parent.parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("streamer:")]


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, lines joined, comments dropped."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines if line.strip())]


def environment() -> dict[str, str]:
    """What the image sets."""
    pairs = " ".join(rest for word, rest in instructions() if word == "ENV").split()
    return dict(pair.split("=", 1) for pair in pairs)


def test_docker_compose_itself_accepts_the_file():
    """The real parser, where it is installed; it needs no engine."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("needs the docker command with its compose plugin")
    done = subprocess.run([docker, "compose", "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_kafka_two_user_workers_every_role_and_the_watchers_are_there():
    """What the file promises in its first line."""
    roles = [SERVICES[name]["command"][2] for name in OURS if SERVICES[name]["command"][0] == "worker"]
    assert sorted(roles) == sorted([*ROLES, "user"])
    assert {"kafka", "topics", "prometheus", "grafana"} <= SERVICES.keys()


def test_no_two_workers_share_an_identity_or_a_disk():
    """A shared instance id would fence the other; RocksDB locks its directory."""
    workers = [SERVICES[name] for name in OURS if SERVICES[name]["command"][0] == "worker"]
    for ids in ([w["command"][4] for w in workers], [w["volumes"][0] for w in workers]):
        assert len(set(ids)) == len(workers)


@pytest.mark.parametrize("name", OURS)
def test_the_settings_given_to_a_service_exist_and_are_accepted(name):
    """Image and service together, through the real loader."""
    given = {**environment(), **SERVICES[name]["environment"]}
    assert {key for key in given if key.startswith("STREAMER_")} <= {setting.env for setting in leaves()}
    settings = load(env=given, check_files=False)
    assert settings.kafka.bootstrap.split(":")[0] in SERVICES


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_a_service_is_one_the_program_understands(name):
    """Parsed by the real command line, not run."""
    from streamer.cli.main import cli

    command: click.Command = cli
    context, arguments = command.make_context("streamer", [*SERVICES[name]["command"]]), SERVICES[name]["command"]
    while isinstance(command, click.Group):
        word, *arguments = arguments
        command = command.commands[word]
        context = command.make_context(word, [*arguments], parent=context)


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_version(name):
    """`latest` is another program tomorrow."""
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert image
    assert tag not in ("", "latest")


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_to_the_loopback_alone(name):
    """None of them has a login."""
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_and_waits_for_exists(name):
    """Files in the checkout, volumes and services in the file."""
    service = SERVICES[name]
    for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], source
    assert set(service.get("depends_on", [])) <= SERVICES.keys()


def test_every_volume_is_used():
    """A leftover name would make an empty volume."""
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= used


def test_kafka_listens_where_it_tells_clients_to_come():
    """The workers inside and a laptop's client outside."""
    kafka = SERVICES["kafka"]["environment"]
    listeners = dict(entry.split("://") for entry in kafka["KAFKA_LISTENERS"].split(","))
    advertised = dict(entry.split("://") for entry in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    mapped = dict(entry.split(":") for entry in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert listeners.keys() == mapped.keys()
    for listener, address in advertised.items():
        assert listeners[listener].split(":")[1] == address.split(":")[1]
    assert (
        advertised[kafka["KAFKA_INTER_BROKER_LISTENER_NAME"]]
        == SERVICES["worker-1"]["environment"]["STREAMER_KAFKA__BOOTSTRAP"]
    )
    assert f"{advertised['OUTSIDE']}:29092" in SERVICES["kafka"]["ports"]


def test_the_image_copies_only_what_exists_and_what_the_ignore_file_lets_through():
    """An ignored source fails the build, late."""
    let_through = {
        line[1:] for line in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    sources = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert sources
    assert set(sources) <= let_through
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_runs_the_console_script_as_nobody_special():
    """Not root, and the entry point is the one pyproject.toml declares."""
    told = dict(instructions())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert told["USER"] not in ("root", "0")
    assert told["ENTRYPOINT"] == '["streamer"]'
    assert "streamer" in project["scripts"]
    assert told["FROM"].startswith(f"python:{project['requires-python'].removeprefix('>=')}-")


def test_the_image_shows_its_health_on_the_port_of_the_settings():
    """EXPOSE, HEALTHCHECK and the environment name one port."""
    told, port = dict(instructions()), WebSettings().port
    assert told["EXPOSE"] == str(port)
    assert f"127.0.0.1:{port}/healthz" in told["HEALTHCHECK"]
    assert load(env=environment(), check_files=False).web == WebSettings(host="0.0.0.0", port=port)  # noqa: S104 - a container's own network
    assert told["VOLUME"] == environment()["STREAMER_RUNTIME__DATA_DIR"]
