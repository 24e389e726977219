"""Names that must be told apart."""

from collections.abc import Iterator, Sequence

from reconciler.cluster.errors import FieldError, quoted


def clashing_names(at: str, names: Sequence[str]) -> Iterator[FieldError]:
    """Names that are alike but for hyphens: CloudFormation's logical ids have letters and digits only."""
    first: dict[str, str] = {}
    for index, name in enumerate(names):
        other = first.setdefault(name.replace("-", ""), name)
        if index != names.index(other):
            rule = "used already" if other == name else f"differs from {quoted(other)} by hyphens only"
            yield FieldError(f"{at}[{index}].name", quoted(name), rule, "choose another name")
