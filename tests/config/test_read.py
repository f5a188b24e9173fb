"""Shapes of addresses, URLs and sizes."""

from __future__ import annotations

import pytest

from nats3.config import read
from nats3.config.read import Wrong


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@127.0.0.1:5432/db",
        "postgres://u@h/db",
        "postgresql://user@%2Ftmp%2Fpg/db",
        "postgresql:///db?host=/var/run/postgresql",
        "postgresql://u@[::1]:5432/db",
        "postgresql://u@a:1,b:2/db?target_session_attrs=read-write",
        "postgresql://h?dbname=db",
    ],
)
def test_a_postgres_url_is_taken_as_it_is(url):
    assert read.postgres_url(url).reveal() == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("h:5432/db", "does not begin with postgresql://"),
        ("postgresql+psycopg://h/db", "does not begin with postgresql://"),
        ("postgresql://u@h", "names no database after the host"),
        ("postgresql://u@h:x/db", "has a port that is no number from 0 to 65535"),
        ("postgresql://u@h:99999/db", "has a port that is no number from 0 to 65535"),
        ("postgresql://u@tmp%2Fpg/db", "has a socket directory that does not begin with %2F"),
        ("postgresql://u@h/d b", "holds a blank; write %20"),
        ("postgresql://[/db", "is no URL"),
    ],
)
def test_a_wrong_postgres_url_says_what_is_wrong(url, said):
    with pytest.raises(Wrong, match="^" + said.replace("+", r"\+")):
        read.postgres_url(url)


@pytest.mark.parametrize(
    ("raw", "taken", "shown"),
    [
        ("localhost:4222", "nats://localhost:4222", "nats://localhost:4222"),
        ("tls://h", "tls://h", "tls://h"),
        ("nats://u:p@h:1, h2", "nats://u:p@h:1,nats://h2", "nats://u:***@h:1,nats://h2"),
        ("nats://token@h", "nats://token@h", "nats://***@h"),
    ],
)
def test_nats_urls_may_be_several_and_lack_a_scheme(raw, taken, shown):
    url = read.nats_url(raw)
    assert (url.reveal(), str(url)) == (taken, shown)


@pytest.mark.parametrize(
    ("raw", "said"),
    [(",", "names no server"), ("http://h", "does not begin with nats://"), ("nats://h:x", "is no URL")],
)
def test_a_wrong_nats_url_says_what_is_wrong(raw, said):
    with pytest.raises(Wrong, match="^" + said):
        read.nats_url(raw)


@pytest.mark.parametrize(
    ("raw", "value"), [("64MB", 64 * 2**20), ("1GiB", 2**30), ("33554432", 2**25), ("16 mb", 2**24), ("1g", 2**30)]
)
def test_sizes_count_by_1024(raw, value):
    assert read.size(2**24)(raw) == value


@pytest.mark.parametrize("raw", ["", "MB", "1.5GB", "-1", "64XB", "1KB", "64 M B"])
def test_what_is_no_size_is_refused(raw):
    with pytest.raises(Wrong):
        read.size(2**24)(raw)


@pytest.mark.parametrize("raw", ["", ":80", "h:", "h:65536", "h:-1", "h:٣", "h h:1", "h/x:1"])
def test_what_is_no_address_is_refused(raw):
    with pytest.raises(Wrong):
        read.address(raw)


@pytest.mark.parametrize("raw", ["h:9000", "ftp://h", "http://", "http://u:p@h", "http://[::1"])
def test_what_is_no_endpoint_is_refused(raw):
    with pytest.raises(Wrong):
        read.http_url(raw)


def test_hosts_are_names_addresses_or_all():
    assert read.hosts("A.example, 10.0.0.1,fe80::1,*") == ("a.example", "10.0.0.1", "fe80::1", "*")


@pytest.mark.parametrize("raw", [",", "http://a", "a:80", "a b", "a*"])
def test_what_is_no_list_of_hosts_is_refused(raw):
    with pytest.raises(Wrong):
        read.hosts(raw)


@pytest.mark.parametrize(("raw", "word"), [("INFO", "info"), ("warning", "warn"), ("Fatal", "error")])
def test_a_level_is_taken_in_any_case_and_spelling(raw, word):
    assert read.one_of(("info", "warn", "error"))(read.level(raw)) == word
