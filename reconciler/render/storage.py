"""Shared storage."""

from reconciler.render.context import Context, Json, Resources


def resources(context: Context) -> Resources:
    return {}


def head_volumes(context: Context) -> list[Json]:
    return []


def names(context: Context) -> dict[str, str]:
    return {}


def retained(context: Context) -> dict[str, str]:
    return {}
