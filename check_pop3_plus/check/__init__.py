"""The nagiosplugin layer: Resource, Contexts, Summary."""

from check_pop3_plus.support.deferred_imports import deferred

with deferred("json", "logging", "tempfile", "traceback"):
    import nagiosplugin  # noqa: F401
