"""How long reaching an instance may take, and how much of it happens at once. Every wait has one of these."""

from dataclasses import dataclass

__all__ = ["ConnectLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectLimits:
    """Deadlines in seconds, and bounds per process. Each is a setting."""

    connect_s: float = 10
    """Name resolution and TCP, over all addresses of a name."""
    banner_s: float = 10
    """From the TCP connection to the end of the key exchange."""
    auth_s: float = 15
    """From the key exchange to a login."""
    channel_s: float = 10
    """To open a channel, waiting for a free one and refusals included."""
    answer_s: float = 20
    """To the first answer of the helper, and for each operation that does not follow a run."""
    cancel_s: float = 60
    """For a stop: the host answers once the processes were seen gone."""
    upload_s: float = 30
    """To hand a script, or the helper, to the host."""
    tcp_keepalive_s: int = 15
    """A connection that was silent for so long is probed by the kernel, at no cost to us; a host that is gone
    is noticed within twice that."""
    keepalive_s: float = 60
    """One that was silent for so long is asked by SSH: that also finds a host that hangs, and a proxy or jump
    host that has stopped forwarding. 3,000 held runs at 15 s would cost 3 % of a core, at 60 s below 1."""
    keepalive_misses: int = 2
    """So many unanswered questions, one interval apart, and the connection counts as lost."""
    banner_tries: int = 6
    """Connections that an sshd drops before its banner (MaxStartups) are tried again, so often in all."""
    banner_pause_s: float = 0.2
    """The first pause between them; it doubles, with jitter."""
    keep_s: float = 30
    """A connection is kept for so long after its last use."""
    max_connections: int = 5000
    """Open at once in this process; idle ones are closed first."""
    max_connecting: int = 50
    """Connects under way at once in this process. Fewer while an sshd drops them."""
    min_connecting: int = 8
    """What drops reduce that to, at the least: sshd's default MaxStartups lets 10 in."""
    follow_channels: int = 8
    """Runs followed over one connection; the next one opens another connection. sshd allows 10 channels."""
    control_channels: int = 2
    """Kept free on each connection for stop, collect and acknowledge."""
