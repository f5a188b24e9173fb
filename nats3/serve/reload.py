"""SIGHUP: what may change while the program runs is read anew and counts at once; what may not is named, and stays."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass

from nats3.api.entrance import Entrance
from nats3.api.rates import Rate
from nats3.api.services import Rules
from nats3.config import Config, Misconfigured
from nats3.config.show import changed
from nats3.serve.listening import load_certificates
from nats3.serve.services import rules_of
from nats3.telemetry.logs import start_logging
from nats3.telemetry.signals import Telemetry

OF_THE_API = frozenset(
    {
        "server.hosts",
        "server.metrics_public",
        "server.tls_cert",
        "server.tls_key",
        "server.tls_ca",
        "limits.requests",
    }
)
RELOADED = OF_THE_API | {"log", "log_format"}
"""Settings that a running program takes up; files of certificates are read anew even under their old names."""


@dataclass(slots=True)
class Api:
    """What of the API takes up settings. `tls` is what new connections are shown."""

    rules: Rules
    entrance: Entrance
    tls: ssl.SSLContext | None

    def read(self, new: Config) -> None:
        """Raises OSError for certificates that cannot be used; those of before stay then."""
        if self.tls is not None:
            load_certificates(self.tls, new.server)

    def apply(self, began: Config, new: Config) -> None:
        rules = rules_of(new.server)
        # Where we listen did not change, so neither did our own names.
        self.rules.hosts = rules.hosts | {began.server.host}
        self.rules.metrics_public = rules.metrics_public
        self.entrance.rates.rate = Rate(new.limits.requests, 2 * new.limits.requests)


@dataclass(slots=True)
class Reload:
    """Called by the signal. `config` is what the process began with, `latest` what was taken up since. `read` gives the
    settings as they would be now; a node without an API leaves the settings of it to the process that has it.
    """

    read: Callable[[], Config]
    config: Config
    telemetry: Telemetry
    api: Api | None
    latest: Config | None = None

    def __call__(self) -> bool:
        """Take up what can be. False: settings do not fit, or files cannot be read, and all stays as it was."""
        try:
            new = self.read()
            if self.api is not None:
                self.api.read(new)
        except (Misconfigured, OSError) as fault:
            self.telemetry.reload_refused(self.config.node_name, str(fault))
            return False
        theirs = OF_THE_API if self.api is None else frozenset[str]()
        taken_up = (changed(self.latest or self.config, new) & RELOADED) - theirs
        left = changed(self.config, new) - RELOADED
        self._apply(new)
        self.latest = new
        self.telemetry.reloaded(self.config.node_name, sorted(taken_up), sorted(left))
        return True

    def _apply(self, new: Config) -> None:
        secrets = {*self.config.secrets(), *new.secrets()}
        self.telemetry.log = start_logging(new.log.level, new.log.format, sys.stderr, secrets)
        if self.api is not None:
            self.api.apply(self.config, new)
