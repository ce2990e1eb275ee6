"""Property tests here have no deadline: a busy machine is no fault of a rule."""

from hypothesis import settings

settings.register_profile("domain", deadline=None)
settings.load_profile("domain")
