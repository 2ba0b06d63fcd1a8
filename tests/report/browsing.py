"""A page that is watched in a browser: what the tests of all sections share."""

from dataclasses import dataclass, field

READY = "body[data-ready]"
REMOTE = ("http:", "https:", "ws:", "wss:", "ftp:")
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Seen:
    """What a page did while it was watched."""

    console: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    failures: list = field(default_factory=list)

    @property
    def remote(self):
        return [url for url in self.requests if url.startswith(REMOTE)]

    def assert_quiet(self):
        assert self.console == []
        assert self.errors == []
        assert self.failures == []
        assert self.remote == []


def eventually(page, expression):
    """Wait until a JavaScript expression holds.

    Playwright's own wait_for_function evals inside the page, which its policy forbids.
    """
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never became true: {expression}")
