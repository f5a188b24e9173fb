"""Whatever a person writes, the answer is a Config or a refusal that names a setting: never another error."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from nats3.config import Misconfigured, load
from nats3.config.read import Wrong
from nats3.config.settings import SETTINGS

NEEDED = {"NATS3_NATS_URL": "nats://h", "NATS3_POSTGRES_URL": "postgresql://u@h/db"}
PIECES = st.sampled_from(
    [
        "nats://",
        "postgresql://",
        "http://",
        "@",
        ":",
        "/",
        "[",
        "]",
        "%",
        "%2F",
        "%ZZ",
        ",",
        "?",
        "#",
        "=",
        "::1",
        "65536",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join) | st.text()


def faults(environ: dict[str, str], file: Path | None = None) -> list[str]:
    """The names that a refusal blames; none where the settings were taken."""
    try:
        load(environ, file=file)
    except Misconfigured as misconfigured:
        return [fault.field for fault in misconfigured.faults]
    return []


@given(st.sampled_from(SETTINGS), TEXTS)
def test_a_reader_gives_a_value_or_says_what_is_wrong(setting, text):
    with suppress(Wrong):
        setting.parse(text)


@given(st.dictionaries(st.sampled_from([setting.variable for setting in SETTINGS]), TEXTS, max_size=6))
def test_any_environment_is_taken_or_refused_by_name(environ):
    assert all(name.startswith("NATS3_") for name in faults(NEEDED | environ))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["log", "server", "addr", "nats", "url", "s3", "secret", "failpoints"]) | st.text(max_size=8)


@given(st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=4), max_size=4))
def test_any_file_is_taken_or_refused_by_key(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert all(str(file) in name or name.startswith("NATS3_") for name in faults(NEEDED, file))


@given(st.binary(max_size=200), st.sampled_from(["any.toml", "other.yaml"]))
def test_any_bytes_are_a_file_or_are_refused(tmp_path_factory, content, name):
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(content)
    assert all(str(file) in name or name.startswith("NATS3_") for name in faults(NEEDED, file))
