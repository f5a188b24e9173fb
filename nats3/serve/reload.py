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

RELOADED = frozenset(
    {
        "log",
        "log_format",
        "server.hosts",
        "server.metrics_public",
        "server.tls_cert",
        "server.tls_key",
        "server.tls_ca",
        "limits.requests",
    }
)
"""Settings that a running program takes up; files of certificates are read anew even under their old names."""


@dataclass(slots=True)
class Reload:
    """Called by the signal. `config` is what the program began with, `latest` what was taken up since. `read` gives the settings as they would be now; `tls` is what new connections are shown."""

    read: Callable[[], Config]
    config: Config
    telemetry: Telemetry
    rules: Rules
    entrance: Entrance
    tls: ssl.SSLContext | None
    latest: Config | None = None

    def __call__(self) -> None:
        """Take up what can be; with settings that do not fit, or files that cannot be read, all stays as it was."""
        try:
            new = self.read()
            if self.tls is not None:
                load_certificates(self.tls, new.server)
        except (Misconfigured, OSError) as fault:
            self.telemetry.reload_refused(str(fault))
            return
        taken_up = changed(self.latest or self.config, new) & RELOADED
        left = changed(self.config, new) - RELOADED
        self._apply(new)
        self.latest = new
        self.telemetry.reloaded(sorted(taken_up), sorted(left))

    def _apply(self, new: Config) -> None:
        secrets = {*self.config.secrets(), *new.secrets()}
        self.telemetry.log = start_logging(new.log.level, new.log.format, sys.stderr, secrets)
        rules = rules_of(new.server)
        # Where we listen did not change, so neither did our own names.
        self.rules.hosts = rules.hosts | {self.config.server.host}
        self.rules.metrics_public = rules.metrics_public
        self.entrance.rates.rate = Rate(new.limits.requests, 2 * new.limits.requests)
