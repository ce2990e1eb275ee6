"""From a connected link to a `Reached`: by facts that are known, or by installing the helper."""

from cloudassist_tasks.domain.instance import HostFacts
from cloudassist_tasks.ports.transport import Reached
from cloudassist_tasks.transports.link import Link, Side
from cloudassist_tasks.transports.remote import helper_source
from cloudassist_tasks.transports.remote.calling import prepare
from cloudassist_tasks.transports.remote.host import RemoteHost

__all__ = ["reached"]


async def reached(link: Link, known: HostFacts | None, *, prepare_anew: bool) -> Reached:
    """The host at the end of a link.

    Known facts are believed without a round trip: a helper that is gone is noticed, and installed, by the
    first call. Facts of another version of the helper are stale at once.
    """
    ours = link.facts.get(Side.LOGIN) or known
    prepared = False
    if prepare_anew or ours is None or ours.helper_version != helper_source.VERSION:
        before = link.facts.get(Side.LOGIN)
        ours = await prepare(link, Side.LOGIN, unlike=None if prepare_anew else before)
        prepared = ours is not before
    link.facts[Side.LOGIN] = ours
    first_use = link.instance.host_key is None
    return Reached(
        host=RemoteHost(link),
        facts=ours,
        prepared=prepared,
        host_key=link.host_key if first_use else None,
    )
