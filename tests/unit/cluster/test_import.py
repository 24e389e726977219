"""What the resource model costs when it is imported."""

import subprocess
import sys

# Each takes longer to import than all of the model, and a Lambda function would wait for it at every cold start.
HEAVY = {"boto3", "botocore", "yaml", "jsonschema", "aws_lambda_powertools"}


def test_model_imports_nothing_heavy() -> None:
    program = "import sys, reconciler.cluster; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert "pydantic" in loaded
    assert HEAVY.intersection(loaded) == set()
