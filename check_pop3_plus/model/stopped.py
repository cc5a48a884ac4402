"""The end that a signal asks for.

In a module of its own, with no imports, so that a signal at any time finds it whole.
"""


class Stopped(BaseException):
    """A signal asked the run to end. Not an Exception, so that no guard swallows it."""
