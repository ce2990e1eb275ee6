"""Operations on a real store and broker; nobody carries anything out."""

from tests.support.installation import plane
from tests.support.store import store_server

__all__ = ["plane", "store_server"]
