"""What the checker says of some users of the core."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.core import Core, CoreUser
from tests.chaos.history.check import Violation, violations
from tests.chaos.history.collect import Books
from tests.chaos.history.model import History
from tests.chaos.receiver import Eavesdropper


async def history_of(core: Core, users: Sequence[CoreUser], ear: Eavesdropper, *, within_s: float = 60) -> History:
    """Everything that happened, once nothing is going on, or at the latest after a while."""
    books = Books(core.servers.dsn, [user.name for user in users])
    await books.rest(within_s)
    known = await books.read()
    return History(
        creates=[create for user in users for create in user.creates],
        cancels=[cancel for user in users for cancel in user.cancels],
        told=await ear.told(),
        media=await core.media(list(known["jobs"])),
        **known,
    )


async def verdict(core: Core, users: Sequence[CoreUser], ear: Eavesdropper, *, within_s: float = 60) -> list[Violation]:
    """What is wrong, once nothing is going on."""
    return violations(await history_of(core, users, ear, within_s=within_s))
