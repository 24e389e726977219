"""What every test shares: AWS settings that lead to no real account, and the profiles of hypothesis."""

import gc
import os

import pytest
from hypothesis import settings

from tests import quick_botocore, quick_dynamodb, quick_moto

REGION = "us-east-1"

# Set on import, before any client is made. The settings of whoever runs the tests (a profile, a role, an
# endpoint) are taken away, so that a test which forgets its emulator fails instead of reaching an account.
for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_SESSION_TOKEN="testing",
    AWS_DEFAULT_REGION=REGION,
    AWS_REGION=REGION,
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
    POWERTOOLS_DEV="false",
    POWERTOOLS_SERVICE_NAME="muster",
    POWERTOOLS_METRICS_NAMESPACE="Muster",
    POWERTOOLS_TRACE_DISABLED="true",
    SAM_CLI_TELEMETRY="0",
)

# Deadlines would make a test of time of every property. In CI the examples are the same in every run.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

for _quick in (quick_moto, quick_dynamodb, quick_botocore):
    _quick.install()


# The files that take longest, the longest first: in several processes, the last to start decides when all are done.
LONGEST = (
    "tests/e2e/test_slurm.py",
    "tests/e2e/test_slurm_changes.py",
    "tests/e2e/test_batch.py",
    "tests/e2e/test_faults.py",
    "tests/e2e/test_slurm_bootstrap.py",
    "tests/e2e/test_stack_statuses.py",
    "tests/e2e/test_triggers.py",
    "tests/e2e/test_consent.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, the others as they were."""
    places = {path: place for place, path in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(LONGEST)))


def pytest_collection_finish() -> None:
    """What is there before the first test stays to the end, and is no garbage: it is not looked through for any."""
    gc.collect()
    gc.freeze()
