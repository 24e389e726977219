"""MiniStack's modules, whose inner functions and stores the additions work with.

They are typed as Any: nothing inside them is an interface, which is why the version of MiniStack is pinned.
"""

from importlib import import_module
from typing import Any

app: Any = import_module("ministack.app")
autoscaling: Any = import_module("ministack.services.autoscaling")
batch: Any = import_module("ministack.services.batch")
cloudformation: Any = import_module("ministack.services.cloudformation")
changesets: Any = import_module("ministack.services.cloudformation.changesets")
handlers: Any = import_module("ministack.services.cloudformation.handlers")
provisioners: Any = import_module("ministack.services.cloudformation.provisioners")
stacks: Any = import_module("ministack.services.cloudformation.stacks")
codebuild: Any = import_module("ministack.services.codebuild")
dynamodb: Any = import_module("ministack.services.dynamodb")
ec2: Any = import_module("ministack.services.ec2")
ecr: Any = import_module("ministack.services.ecr")
ecs: Any = import_module("ministack.services.ecs")
eventbridge: Any = import_module("ministack.services.eventbridge")
iam_actions: Any = import_module("ministack.core.iam_actions")
iam: Any = import_module("ministack.services.iam")
iam_evaluator: Any = import_module("ministack.core.iam_evaluator")
lambda_svc: Any = import_module("ministack.services.lambda_svc")
lambda_runtime: Any = import_module("ministack.core.lambda_runtime")
logs: Any = import_module("ministack.services.cloudwatch_logs")
s3: Any = import_module("ministack.services.s3")
sns: Any = import_module("ministack.services.sns")
sqs: Any = import_module("ministack.services.sqs")
ssm: Any = import_module("ministack.services.ssm")
sts: Any = import_module("ministack.services.sts")
tagging: Any = import_module("ministack.services.tagging")
