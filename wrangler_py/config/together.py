"""What the Workers of one session must not have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from wrangler_py.config.diagnostics import printable
from wrangler_py.config.model import Config
from wrangler_py.errors import ConfigError


class _Claim(NamedTuple):
    """Something that one Worker alone may have; ``said``, with ``name`` in it, is the beginning of the complaint."""

    said: str
    name: str
    advice: str

    @property
    def complaint(self) -> str:
        return self.said.format(printable(self.name))


def check_together(configs: Sequence[Config]) -> None:
    """See to it that the Workers can share one session and its state.

    Raises:
        ConfigError: the same file twice, two Workers of one name, a workflow two of them define, or a queue two of them
        consume (on Cloudflare, each of these is unique in an account). It names both files.
    """
    holders: dict[_Claim, int] = {}
    for number, config in enumerate(configs):
        for claim in _claims(config):
            holder = holders.setdefault(claim, number)
            if holder != number:
                raise ConfigError(f"{claim.complaint}: {_both(configs[holder], config)}.", hint=claim.advice)


def _both(one: Config, other: Config) -> str:
    first, second = (printable(str(config.path)) for config in (one, other))
    return first if first == second else f"{first} and {second}"


def _claims(config: Config) -> Iterator[_Claim]:
    yield _Claim(
        "One configuration is given twice", str(config.path.resolve()), "Name each Worker's file once."
    )
    yield _Claim(
        'Two Workers of this session are called "{}"',
        config.name,
        "Give one of them another name, or run each in a session of its own.",
    )
    for name in _own_workflows(config):
        yield _Claim(
            'The workflow "{}" is defined by two Workers',
            name,
            "Rename one of them; or, to use the other Worker's, say so with script_name.",
        )
    for one in config.resources.consumers:
        yield _Claim('The queue "{}" has two consumers', one.queue, "A queue has one: remove the other.")


def _own_workflows(config: Config) -> Iterable[str]:
    return [one.name for one in config.workflows if one.script_name in (None, config.name)]
