"""User data."""

from reconciler.cluster import Queue
from reconciler.render.context import Context, Json


def head(context: Context) -> Json:
    return {"Fn::Base64": "#!/bin/bash\n"}


def compute(context: Context, queue: Queue) -> Json:
    return {"Fn::Base64": "#!/bin/bash\n"}
