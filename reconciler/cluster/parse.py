"""From a document, whatever it is, to a cluster or to the reasons why it is none."""

from pydantic import ValidationError

from reconciler.cluster.errors import FieldError, Invalid
from reconciler.cluster.model import Cluster


def parse(document: object) -> Cluster | Invalid:
    """The cluster that a document describes, or all that is wrong with it. Never raises."""
    try:
        return Cluster.model_validate(document)
    except ValidationError as error:
        return Invalid(
            tuple(
                FieldError(".".join(str(part) for part in one["loc"]), "", one["msg"], "")
                for one in error.errors(include_url=False)
            )
        )
