"""The secret by which the cluster's daemons know each other: made once, kept in a row, never shown."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.machine import Machine
    from node.rows import Table

KEY_FILE, OWNER, DAEMON = "etc/munge/munge.key", "munge", "munge"
# Bytes.
SIZE = 128


def key_of(table: Table) -> bytes:
    """The cluster's key, made if there is none: whoever is first has made it."""
    found = table.munge_key()
    if found is None:
        made = secrets.token_bytes(SIZE)
        found = made if table.add_munge_key(made) else table.munge_key()
    if not found:
        raise LookupError("the row of the munge key has vanished")
    return found


def put(machine: Machine, key: bytes) -> bool:
    """Give the key to the daemon; whether it had another. Raises MachineError."""
    return machine.write(KEY_FILE, key, 0o400, OWNER)
