"""What the script that changes a schedule is handed: `modify_schedule.lua` has the order of it."""

from collections.abc import Sequence

from cloudassist_tasks.domain.command import Command
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.invocation import InvocationSpec
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.command_records import command_doc
from cloudassist_tasks.store.commands import command_text
from cloudassist_tasks.store.link import Word

OVER_QUOTA = -1
"""Its answer where too many commands are kept already."""


def keys_of_change(
    spec: InvocationSpec, version: int, added: Sequence[InstanceId], *, token: str, kept: Command | None
) -> Sequence[str]:
    """`version`: where the spec will stand. `kept`: its command, if this step is to keep that."""
    id_, command_id = spec.id, spec.command.id
    return [
        keys.header(id_),
        keys.spec(id_, version),
        keys.tally(id_),
        keys.members(id_),
        keys.DUE_SCHEDULES,
        keys.BOOTS,
        keys.marks("command", command_id),
        keys.COMMANDS_IN_USE,
        keys.token(token),
        keys.command(command_id),
        keys.COMMANDS,
        keys.LAST_COMMAND,
        keys.COMMAND_TEXTS,
        *(facets.of_command(kept) if kept else ()),
        *facets.MORE_MEMBERS,
        *[facets.of_instance(one) for one in added],
    ]


def words_of_kept(command: Command | None) -> Sequence[Word]:
    """Its entry, document, content and text, and by how many marks it is found."""
    if command is None:
        return ["", "", "", "", 0]
    return [
        keys.entry(command.created_ms, command.id),
        command_doc(command),
        command.content.reveal(),
        command_text(command),
        len(facets.of_command(command)),
    ]
