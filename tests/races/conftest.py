"""The deployed control plane of the end-to-end tests, for the trace of a real run."""

import pytest

from tests.e2e.conftest import aws, built, world

__all__ = ["aws", "built", "world"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name == "test_trace_e2e.py":
            item.add_marker(pytest.mark.e2e)
