"""The way of the groups' life-cycle notifications to the head node: topic, subscription, queue, dead letters."""

from reconciler.render.context import Context, Json, Resources, attribute, ref, tag_list

TOPIC = "Topic"
QUEUE = "Queue"
DEAD_LETTERS = "DeadLetters"
SUBSCRIPTION = "Subscription"

FOURTEEN_DAYS = 1_209_600
RECEIVES_BEFORE_DEAD = 10


def _tls_only(action: str, resource: object) -> Json:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _policy(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def resources(context: Context) -> Resources:
    """Topic, queue, dead-letter queue, their policies and the subscription.

    The topic has no KMS key: Auto Scaling's service-linked role may use a key only if the key's policy names
    it, which the policy of the AWS-managed key does not, and a key of one's own a cluster costs more than the
    cluster's queue. The messages hold instance ids and causes, no data of users. The names are
    CloudFormation's: SQS refuses the name of a queue that was deleted less than 60 seconds ago, and a cluster
    may be made anew within them.
    """
    tags = tag_list(context.marks)
    account = f"arn:{context.site.partition}:iam::{context.site.account}:root"
    return {
        TOPIC: {"Type": "AWS::SNS::Topic", "Properties": {"Tags": tags}},
        "TopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [ref(TOPIC)],
                "PolicyDocument": _policy(
                    # Delegates to IAM: of this account, whoever has the right by his own policy may publish.
                    {
                        "Sid": "ThisAccount",
                        "Effect": "Allow",
                        "Principal": {"AWS": account},
                        "Action": "sns:Publish",
                        "Resource": ref(TOPIC),
                    },
                    _tls_only("sns:Publish", ref(TOPIC)),
                ),
            },
        },
        DEAD_LETTERS: {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "MessageRetentionPeriod": FOURTEEN_DAYS,
                "SqsManagedSseEnabled": True,
                "Tags": tags,
            },
        },
        QUEUE: {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "MessageRetentionPeriod": FOURTEEN_DAYS,
                "RedrivePolicy": {
                    "deadLetterTargetArn": attribute(DEAD_LETTERS, "Arn"),
                    "maxReceiveCount": RECEIVES_BEFORE_DEAD,
                },
                "SqsManagedSseEnabled": True,
                "Tags": tags,
            },
        },
        "QueuePolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [ref(QUEUE)],
                "PolicyDocument": _policy(
                    {
                        "Sid": "FromTopic",
                        "Effect": "Allow",
                        "Principal": {"Service": "sns.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": attribute(QUEUE, "Arn"),
                        "Condition": {"ArnEquals": {"aws:SourceArn": ref(TOPIC)}},
                    },
                    _tls_only("sqs:*", attribute(QUEUE, "Arn")),
                ),
            },
        },
        "DeadLettersPolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [ref(DEAD_LETTERS)],
                "PolicyDocument": _policy(_tls_only("sqs:*", attribute(DEAD_LETTERS, "Arn"))),
            },
        },
        # Apart from the topic: a subscription written inside a topic can outlive it.
        SUBSCRIPTION: {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"Protocol": "sqs", "TopicArn": ref(TOPIC), "Endpoint": attribute(QUEUE, "Arn")},
            "DependsOn": ["QueuePolicy"],
        },
    }
