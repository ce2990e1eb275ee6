"""What the script that opens an invocation is given: its keys and its arguments, in its order."""

from collections.abc import Sequence

from cloudassist_tasks.domain.caps import Caps, outcome_of_halt
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.invocation import AT_BOOT, InvocationSpec
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.invocations import Opening
from cloudassist_tasks.store import facets, keys
from cloudassist_tasks.store.command_records import command_doc
from cloudassist_tasks.store.commands import command_text
from cloudassist_tasks.store.spec_records import spec_blob
from cloudassist_tasks.store.tokens import proof


def keys_of_opening(opening: Opening, members: Sequence[InstanceId]) -> list[str]:
    """`members`: those of the opening, each once."""
    invoke_id, command_id = opening.spec.id, opening.spec.command.id
    return [
        keys.header(invoke_id),
        keys.spec(invoke_id),
        keys.tally(invoke_id),
        keys.members(invoke_id),
        keys.unpublished(invoke_id),
        keys.INVOCATIONS,
        keys.OPEN,
        keys.command(command_id),
        keys.COMMANDS,
        keys.COMMANDS_IN_USE,
        keys.LAST_NUMBER,
        keys.day(opening.day),
        keys.token(opening.token),
        keys.EVENTS,
        keys.LAST_COMMAND,
        keys.COMMAND_TEXTS,
        *(facets.of_command(opening.spec.command) if opening.keep_with_quota else ()),
        *facets.of_invocation(opening.spec),
        facets.of_status(_first_status(opening.spec)),
        *facets.of_more_members(len(members)),
        *[facets.of_instance(id_) for id_ in members],
    ]


def args_of_opening(opening: Opening, members: Sequence[InstanceId], now_ms: int) -> list[str | bytes | int]:
    """For the same members, in the same order."""
    spec, command = opening.spec, opening.spec.command
    return [
        spec.id,
        command.id,
        keys.entry(spec.created_ms, spec.id),
        now_ms,
        opening.daily_quota,
        int(opening.kept_command or opening.keep_with_quota > 0),
        proof(opening.token, opening.request_hash),
        opening.token_ttl_s * 1_000,
        spec_blob(spec),
        opening.keep_with_quota,
        keys.entry(command.created_ms, command.id),
        command_doc(command) if opening.keep_with_quota else b"",
        command.content.reveal() if opening.keep_with_quota else b"",
        " ".join(spec.deliveries),
        keys.NAMES,
        spec.file.name if spec.file else command.name,
        keys.RUN_MARKS,
        command_text(command),
        len(facets.of_command(command)) if opening.keep_with_quota else 0,
        *_caps(opening.spec.caps, len(members)),
        _first_status(spec),
        *_repeating(opening),
        *members,
    ]


def _caps(caps: Caps, total: int) -> list[str | int]:
    """How many of `total` runs may be in hand at once, how many may fail, what is said of those that then do
    not begin. What cannot be exceeded is no cap."""
    at_once, errors = caps.at_once(total), caps.errors(total)
    return [
        "" if at_once is None or at_once >= total else at_once,
        *(("", "") if errors is None or errors >= total else (errors, outcome_of_halt(errors).error_info)),
    ]


def _first_status(spec: InvocationSpec) -> RunStatus:
    return RunStatus.SCHEDULED if spec.repeats else RunStatus.PENDING


def _repeating(opening: Opening) -> list[str | int]:
    """Where a schedule is listed and due, when and for what time; and where boots are awaited."""
    if not opening.spec.repeats:
        return ["", "", "", "", ""]
    due_ms = "" if opening.due_ms is None else opening.due_ms
    boots = keys.BOOTS if opening.spec.repeat_mode in AT_BOOT else ""
    return [keys.SCHEDULES, keys.DUE_SCHEDULES, due_ms, opening.tick_ms, boots]
