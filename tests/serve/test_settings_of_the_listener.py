"""TLS that nats3 serves itself, clients that must show a certificate, and settings that SIGHUP takes up."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import ssl
import sys
from pathlib import Path

import httpx2
import pytest

from nats3.dev.nats3_server import environment
from nats3.dev.ports import free_port
from nats3.dev.s3_server import S3Access
from tests.jetstream.test_tls import make_certificate

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


async def logged(log: Path, text: str) -> dict[str, object]:
    """The first line of the log that holds this, once it is there."""
    async with asyncio.timeout(25):
        while True:
            for line in (await asyncio.to_thread(log.read_text)).splitlines():
                if text in line:
                    return json.loads(line)
            await asyncio.sleep(0.02)


@pytest.mark.timeout(90)
async def test_tls_mutual_and_a_reload_of_what_can_be_reloaded(
    nats_url: str, postgres_url: str, s3: S3Access, server_directory: Path
) -> None:
    certificate, key = await make_certificate(server_directory)
    file, log, port = server_directory / "nats3.toml", server_directory / "log", free_port()
    file.write_text('log = "info"\n[server]\nhosts = ["one.example"]\n')
    settings = environment("", nats_url, postgres_url, s3) | {
        "NATS3_SERVER_ADDR": f"127.0.0.1:{port}",
        "NATS3_CONFIG": str(file),
        "NATS3_SERVER_TLS_CERT": str(certificate),
        "NATS3_SERVER_TLS_KEY": str(key),
        "NATS3_SERVER_TLS_CA": str(certificate),
    }
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nats3", "serve", env={**os.environ, **settings}, stderr=out
        )
    try:
        await logged(log, "node started")
        stranger = ssl.create_default_context(cafile=str(certificate))
        known = ssl.create_default_context(cafile=str(certificate))
        known.load_cert_chain(certificate, key)
        url = f"https://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url, verify=stranger) as client:
            with pytest.raises(httpx2.TransportError):
                await client.get("/ping")
        async with httpx2.AsyncClient(base_url=url.replace("https", "http")) as client:
            with pytest.raises(httpx2.TransportError):
                await client.get("/ping")
        async with httpx2.AsyncClient(base_url=url, verify=known) as client:
            answer = await client.get("/ping")
            assert (answer.text, "strict-transport-security" in answer.headers) == ("pong", True)
            for host, status in (("one.example", 200), ("two.example", 421)):
                assert (await client.get("/ping", headers={"Host": host})).status_code == status

            file.write_text(
                'log = "debug"\nnode_name = "b"\n[server]\nhosts = ["two.example"]\nmetrics_public = true\n'
            )
            process.send_signal(signal.SIGHUP)
            said = await logged(log, "settings reloaded")
            assert said["changed"] == ["log", "server.hosts", "server.metrics_public"]
            assert said["restart_needed_for"] == ["node_name"]
            for host, status in (("one.example", 421), ("two.example", 200)):
                assert (await client.get("/ping", headers={"Host": host})).status_code == status
            await logged(log, "request answered")

            file.write_text("[server]\nhost = 1\n")
            process.send_signal(signal.SIGHUP)
            assert "did you mean server.hosts" in str((await logged(log, "settings not reloaded"))["reason"])
            assert (await client.get("/ping", headers={"Host": "two.example"})).status_code == 200

            fresh = server_directory / "fresh"
            fresh.mkdir()
            new_certificate, new_key = await make_certificate(fresh)
            file.write_text('[server]\nhosts = ["two.example"]\n')
            shutil.copy(new_certificate, certificate)
            shutil.copy(new_key, key)
            process.send_signal(signal.SIGHUP)
            await logged(log, '"changed": ["log", "server.metrics_public"]')
        renewed = ssl.create_default_context(cafile=str(certificate))
        renewed.load_cert_chain(certificate, key)
        async with httpx2.AsyncClient(base_url=url, verify=renewed) as client:
            assert (await client.get("/ping", headers={"Host": "two.example"})).text == "pong"
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_certificates_that_cannot_be_used_stop_the_start(
    nats_url: str, postgres_url: str, s3: S3Access, server_directory: Path
) -> None:
    broken = server_directory / "broken.pem"
    broken.write_text("no certificate")
    settings = environment(f"127.0.0.1:{free_port()}", nats_url, postgres_url, s3) | {
        "NATS3_SERVER_TLS_CERT": str(broken),
        "NATS3_SERVER_TLS_KEY": str(broken),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nats3", "serve"), env={**os.environ, **settings}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert (process.returncode, said.decode().startswith("nats3: cannot use the certificates")) == (1, True)
