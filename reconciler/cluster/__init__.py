"""The Cluster resource: its models, its rules, and its ways in and out."""

from reconciler.cluster.batch import Batch
from reconciler.cluster.canonical import spec_hash
from reconciler.cluster.compute import Bounds, HeadNode, Image, Queue, RootVolume
from reconciler.cluster.document import from_item, to_item
from reconciler.cluster.errors import FieldError, Invalid
from reconciler.cluster.instances import Architecture, architecture
from reconciler.cluster.model import API_VERSION, KIND, Cluster, Metadata, Network, Spec
from reconciler.cluster.parsing import parse
from reconciler.cluster.storage import Ebs, Efs, FsxLustre, Raid, SharedStorage

__all__ = [
    "API_VERSION",
    "KIND",
    "Architecture",
    "Batch",
    "Bounds",
    "Cluster",
    "Ebs",
    "Efs",
    "FieldError",
    "FsxLustre",
    "HeadNode",
    "Image",
    "Invalid",
    "Metadata",
    "Network",
    "Queue",
    "Raid",
    "RootVolume",
    "SharedStorage",
    "Spec",
    "architecture",
    "from_item",
    "parse",
    "spec_hash",
    "to_item",
]
