"""What MiniStack lacks and Muster needs, each in a module of its own, true to AWS's documented behaviour."""

from collections.abc import Awaitable, Callable
from typing import Any

Asgi = Callable[..., Awaitable[Any]]


def register() -> Asgi:
    """Add everything to the MiniStack of this process and return its ASGI application."""
    from ministack.app import app

    return app
