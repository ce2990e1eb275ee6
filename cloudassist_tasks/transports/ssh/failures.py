"""What can go wrong on the way to a login, in our words: instance, address and the next step."""

from cloudassist_tasks.domain.errors import ErrorCode, Unreachable
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.transports.link import address_of

__all__ = [
    "DroppedBeforeBanner", "algorithms_differ", "auth_refused", "auth_silent", "banner_silent",
    "dropped_in_login", "jump_refused", "name_unknown", "no_route", "not_ssh", "refused_port",
]  # fmt: skip


class DroppedBeforeBanner(Unreachable):
    """The server closed the connection before it said who it is: sshd's MaxStartups, most often."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(
            ErrorCode.CLIENT_NOT_RESPONSE,
            f"{address_of(instance)} closes connections before its banner;"
            " does its sshd reach MaxStartups, or do tcp wrappers or fail2ban shut us out?",
            retry_helps=True,
        )


def name_unknown(instance: Instance) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NETWORK_BLOCKED,
        f"the name {instance.host} of {instance.id} cannot be resolved; correct the host or the resolver",
        retry_helps=True,
    )


def refused_port(instance: Instance) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NOT_RUNNING,
        f"nothing listens at {address_of(instance)}; is sshd up, and is this its port?",
        retry_helps=True,
    )


def no_route(instance: Instance, reason: str, after_s: float | None = None) -> Unreachable:
    within = f" within {after_s:g} s" if after_s is not None else ""
    return Unreachable(
        ErrorCode.CLIENT_NETWORK_BLOCKED,
        f"no route to {address_of(instance)}{within} ({reason}); is it up, does a firewall let us through?",
        retry_helps=True,
    )


def jump_refused(instance: Instance, jump: Instance, reason: str) -> Unreachable:
    if "refused" in reason.lower():
        return refused_port(instance)
    return no_route(instance, f"seen from {jump.id}: {reason or 'no reason given'}")


def banner_silent(instance: Instance, after_s: float) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NOT_RESPONSE,
        f"{address_of(instance)} accepts connections but does not answer as SSH within {after_s:g} s;"
        " is its sshd overloaded, or is something else at this port?",
        retry_helps=True,
    )


def auth_silent(instance: Instance, after_s: float) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NOT_RESPONSE,
        f"{address_of(instance)} does not finish the login of {instance.user} within {after_s:g} s;"
        " is it overloaded, or does its login wait for a directory service?",
        retry_helps=True,
    )


def not_ssh(instance: Instance, reason: str) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NOT_RESPONSE,
        f"what answers at {address_of(instance)} does not speak SSH ({reason}); is this sshd's port?",
        retry_helps=False,
    )


def dropped_in_login(instance: Instance, reason: str) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NOT_RESPONSE,
        f"{address_of(instance)} closed the connection during the login ({reason}); see its sshd log",
        retry_helps=True,
    )


def algorithms_differ(instance: Instance, reason: str) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NOT_ONLINE,
        f"{address_of(instance)} and we have no algorithm in common ({reason}); for an sshd of long ago"
        " register it with legacy algorithms, and check that it has a host key of the registered type",
        retry_helps=False,
    )


def auth_refused(instance: Instance, tried: str) -> Unreachable:
    return Unreachable(
        ErrorCode.CLIENT_NOT_ONLINE,
        f"{address_of(instance)} refuses the login of {instance.user} (tried: {tried});"
        " authorize the key there, or register another identity or user",
        retry_helps=False,
    )
