"""compose/ and the Dockerfile, as far as they can be judged without Docker: by parsing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nats3.config.settings import SETTINGS
from nats3.dev import binaries

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
VARIABLE = re.compile(r"\$\{(\w+)[:}]")


@pytest.fixture
def services() -> dict[str, Any]:
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]


def test_the_four_services_are_there(services: dict[str, Any]) -> None:
    assert set(services) == {"nats3", "nats", "postgres", "seaweedfs"}


def test_nats3_is_not_root_and_cannot_write(services: dict[str, Any]) -> None:
    nats3 = services["nats3"]
    assert (nats3["user"], nats3["read_only"], nats3["cap_drop"]) == ("65532:65532", True, ["ALL"])
    assert "\nUSER 65532:65532\n" in (ROOT / "Dockerfile").read_text()


def test_nats3_waits_until_the_others_are_healthy(services: dict[str, Any]) -> None:
    waits = services["nats3"]["depends_on"]
    assert {name for name, wait in waits.items() if wait["condition"] == "service_healthy"} == set(services) - {"nats3"}
    assert all("healthcheck" in services[name] for name in waits)


def test_every_setting_of_nats3_is_one_that_it_knows(services: dict[str, Any]) -> None:
    assert set(services["nats3"]["environment"]) <= {setting.variable for setting in SETTINGS}


def test_every_port_is_published_on_loopback_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_example_names_every_variable_and_no_secret_has_a_value() -> None:
    lines = (COMPOSE / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(given) == set(VARIABLE.findall((COMPOSE / "compose.yaml").read_text()))
    assert [name for name, value in given.items() if not value] == ["NATS_TOKEN", "POSTGRES_PASSWORD", "S3_SECRET"]


def test_all_that_the_image_copies_exists_and_is_let_through() -> None:
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for line in copies for name in line.split()}
    assert all((ROOT / name).exists() for name in names)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert names == allowed


def test_a_real_nats_server_takes_the_configuration() -> None:
    judged = subprocess.run(
        [binaries.nats_server(), "-t", "-c", COMPOSE / "nats.conf"],
        env={**os.environ, "NATS_TOKEN": "n0123"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stderr
