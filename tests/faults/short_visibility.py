"""The app of a worker whose broker gives messages out again that are not acknowledged within a second."""

from workers.app import app

__all__ = ["app"]

app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": 1,
    "unacked_restore_throttle": 1,  # look for them every second, too
}
