"""What the additions with a JSON interface share: refusals and pages."""

import base64
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]


class RefusedError(Exception):
    """An error of the API: its message and code."""

    def __init__(self, message: str, code: str = "ClientException") -> None:
        super().__init__(message)
        self.code = code


def page(
    found: list[Any], request: Request, most: int, order: Callable[[Any], Any], size_name: str = "maxResults"
) -> tuple[list[Any], Request]:
    """One page of what was found, by `order` (text or number), and the token for the next.

    The token is the last place shown, so that what comes or goes meanwhile shifts no page.
    """
    size = int(request.get(size_name) or most)
    if not 0 < size <= most:
        raise RefusedError(f"{size_name} must be between 1 and {most}, not {size}")
    ordered = sorted(found, key=order)
    if token := request.get("nextToken"):
        try:
            kind, _, place = base64.b64decode(token, validate=True).decode().partition(":")
            last = int(place) if kind == "n" else place
        except ValueError:
            raise RefusedError(f"The token '{token}' is invalid.") from None
        ordered = [each for each in ordered if order(each) > last]
    if len(ordered) <= size:
        return ordered, {}
    last = order(ordered[size - 1])
    place = f"n:{last}" if isinstance(last, int) else f"s:{last}"
    return ordered[:size], {"nextToken": base64.b64encode(place.encode()).decode()}
