"""A Celery request whose arguments nobody sees.

`cloudassist.invoke` messages hold scripts. Their senders may not have masked the texts that Celery puts
beside them for logs and events, so our workers show none: not in events, not to `inspect`.
"""

from typing import Any

from celery.worker.request import Request

MASK = "***"


class MaskedRequest(Request):  # type: ignore[misc]  # celery ships no types
    """What workers show of a message: its task and its id."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._argsrepr = self._kwargsrepr = MASK
        self._request_dict.update(argsrepr=MASK, kwargsrepr=MASK)

    def info(self, safe: bool = False) -> Any:
        return super().info(safe=True)
