"""What is a cluster's name. Apart from the models, which cost a cold start ten times as much to load."""

import re

CLUSTER_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,58}[a-z0-9])?")
