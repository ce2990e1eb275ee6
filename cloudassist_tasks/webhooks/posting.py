"""Posts a webhook with aiohttp: one request, one deadline, nothing of the answer but its status.

The receiver is a stranger. No redirect is followed (it could lead where `webhook_hosts` does not), no
cookie kept, no proxy of the environment used, no connection held, and a body that never ends is not read.
"""

import asyncio
from importlib import import_module

from cloudassist_tasks.ports.webhooks import NotTaken

ID_HEADER = "X-CloudAssist-Delivery"
"""The same however often it is sent: the receiver drops what it has seen."""
SIGNATURE_HEADER = "X-CloudAssist-Signature"

GONE = 410
"""The receiver's word for: never again."""


class HttpWebhooks:
    """`ports.webhooks.Webhooks`. Belongs to the event loop that first used it."""

    def __init__(self, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s

    async def post(self, url: str, body: bytes, *, delivery_id: str, signature: str) -> None:
        """A session for each: they are rare, and nothing is left open between them."""
        await asyncio.to_thread(import_module, "aiohttp")  # 0.4 s once, which the loop must not wait for
        import aiohttp  # 150 modules that a command line does not need

        headers = {
            "Content-Type": "application/json",
            "User-Agent": "cloudassist",
            ID_HEADER: delivery_id,
            SIGNATURE_HEADER: signature,
        }
        try:
            async with (
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=self._deadline_s),
                    connector=aiohttp.TCPConnector(force_close=True),
                ) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError as error:
            raise NotTaken(f"no answer within {self._deadline_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotTaken(_said(error)) from error
        if not 200 <= status < 300:
            more = "; redirects are not followed" if 300 <= status < 400 else ""
            raise NotTaken(f"it answered {status}{more}", retry_helps=status != GONE)

    async def close(self) -> None:
        """Nothing is open between two posts."""


def _said(error: BaseException) -> str:
    """The system's words, or the kind of error: the library's own text shows the URL, which may be secret."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return f"cannot connect: {found.strerror}"
        found = found.__cause__ or found.__context__
    return f"cannot be sent: {type(error).__name__}"
