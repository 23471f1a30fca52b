"""Rich's console, which writes text of users without obeying it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from wrangler_py.serde import visible


class LiteralConsole(Console):
    """A console on which only Rich itself moves the cursor or changes a colour.

    Text is written out by `serde.visible`, whichever screen it stands on. What lays text out does so itself before
    (`screens.tables`, `screens.words`), because the escapes are wider.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the segments of ``renderable`` with their text made visible."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)
