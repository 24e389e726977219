"""Names that must be told apart."""

from collections.abc import Iterator, Sequence

from reconciler.cluster.errors import FieldError, quoted


def repeated_names(at: str, names: Sequence[str]) -> Iterator[FieldError]:
    """The names that an entry before them in the list at `at` has."""
    for index, name in enumerate(names):
        first = names.index(name)
        if first < index:
            yield FieldError(f"{at}[{index}].name", quoted(name), f"{at}[{first}] has this name", "choose another")
