"""Roles: what a token may do, each more than the one before it."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["read", "operate", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From least to most: reading; commanding jobs as well; tokens and views as well."""


def at_least(role: Role, needed: Role) -> bool:
    """Whether `role` may do what `needed` may."""
    return ROLES.index(role) >= ROLES.index(needed)
