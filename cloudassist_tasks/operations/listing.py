"""Pages of instances: by id with numbers counted, so that i-2 stands before i-10."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.pagination import NumberedPage, TokenPage, token_for
from cloudassist_tasks.domain.selector import natural_order


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancePage:
    instances: Sequence[Instance]
    next_token: str = ""
    number: int = 0
    size: int
    total: int


def instance_page(instances: Iterable[Instance], wanted: TokenPage | NumberedPage) -> InstancePage:
    """The part asked for. A position is the last id shown, so it stays right while others come and go."""
    ordered = sorted(instances, key=lambda instance: natural_order(instance.id))
    match wanted:
        case TokenPage(size=size, position=position):
            if position:
                behind = natural_order(position)
                rest = [instance for instance in ordered if natural_order(instance.id) > behind]
            else:
                rest = ordered
            shown = rest[:size]
            token = token_for(shown[-1].id) if len(rest) > size else ""
            return InstancePage(instances=shown, next_token=token, size=size, total=len(ordered))
        case NumberedPage(number=number, size=size, skip=skip):
            return InstancePage(
                instances=ordered[skip : skip + size], number=number, size=size, total=len(ordered)
            )
