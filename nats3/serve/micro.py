"""The API as a micro service of NATS, where the settings offer it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nats3 import __version__
from nats3.api.on_nats import App, Asks, Inside, Offer, offered, refused
from nats3.jetstream.micro import About, Answer, Asked, Endpoint, Fault, Handle, Service
from nats3.wiring import Node

ABOUT = About("nats3", __version__, "Keeps the messages of JetStream in S3, and plays them back")


def micro_service(node: Node, app: App, started: datetime) -> Service | None:
    """The API on NATS, where the settings offer it; `app` answers."""
    told = node.config.service
    if told.role == "off":
        return None
    asks = Inside(app)
    endpoints = [
        Endpoint(
            offer.name,
            offer.subject(told.subject),
            _answering(asks, offer),
            {"role": offer.role},
            _explaining(offer),
        )
        for offer in offered(told.role)
    ]
    return Service(node.nats, ABOUT, endpoints, started)


def _explaining(offer: Offer) -> Callable[[Fault], bytes]:
    return lambda fault: refused(offer, fault.code, fault.text)


def _answering(asks: Asks, offer: Offer) -> Handle:
    async def handle(asked: Asked) -> Answer:
        answered = await asks(offer, asked.payload)
        fault = answered.fault
        return Answer(answered.body, None if fault is None else Fault(*fault))

    return handle
