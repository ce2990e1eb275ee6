"""Who is told when what a request opens has closed."""

from cloudassist_tasks.config import Settings
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand
from cloudassist_tasks.domain.delivery import Callback, checked_callback, checked_webhook

Launches = RunCommand | InvokeCommand | SendFile


def callback_of(request: Launches, settings: Settings) -> Callback | None:
    """`Refused(BAD_CALLBACK)`."""
    if request.callback is None:
        return None
    return checked_callback(request.callback, allowed=settings.callback_tasks)


def webhook_of(request: Launches, settings: Settings) -> str:
    """`Refused(BAD_WEBHOOK)`."""
    return checked_webhook(request.webhook, allowed=settings.webhook_hosts) if request.webhook else ""
