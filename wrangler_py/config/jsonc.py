"""JSON with comments and trailing commas, and where in the text each value stands."""

from __future__ import annotations

import json
import re
from typing import Any

from wrangler_py.config.positions import MAX_DEPTH, KeyPath

_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_DECODER = json.JSONDecoder()
_WORDS = {"true": True, "false": False, "null": None}


class MalformedError(ValueError):
    """The text is not of its format, or cannot be used; ``offset`` is where that shows."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def read_jsonc(text: str) -> tuple[Any, dict[KeyPath, int]]:
    """Return the value of a JSONC text and the offset of each key (of each element, in arrays) by its path.

    Raises:
        MalformedError: the text is not JSONC.
    """
    reader = _Reader(text)
    value = reader.value(())
    reader.blank()
    if reader.at < len(text):
        raise MalformedError("there is something behind the end of the value", reader.at)
    return value, reader.offsets


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.offsets: dict[KeyPath, int] = {}

    def blank(self) -> None:
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def peek(self) -> str:
        self.blank()
        return self.text[self.at : self.at + 1]

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise MalformedError(f"{character!r} is missing here", self.at)
        self.at += 1

    def value(self, path: KeyPath) -> Any:
        first = self.peek()
        if len(path) >= MAX_DEPTH and first in ("{", "["):
            raise MalformedError("objects and lists are nested too deep here", self.at)
        if first == "{":
            return self.object(path)
        if first == "[":
            return self.array(path)
        if first == '"':
            return self.string()
        return self.word()

    def word(self) -> Any:
        for word, value in _WORDS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            raise MalformedError("a value is missing here", self.at)
        try:
            value = json.loads(match[0])
        except ValueError:  # Python refuses to read whole numbers of thousands of digits.
            raise MalformedError("a number is too long here", self.at) from None
        self.at = match.end()
        return value

    def string(self) -> str:
        try:
            value, self.at = _DECODER.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            raise MalformedError(
                "a text has no end, a control character or a wrong escape here", error.pos
            ) from None
        return str(value)

    def object(self, path: KeyPath) -> dict[str, Any]:
        self.expect("{")
        found: dict[str, Any] = {}
        while self.peek() != "}":
            if self.peek() != '"':
                raise MalformedError('a key in double quotes, or "}", is missing here', self.at)
            start = self.at
            key = self.string()
            if key in found:
                raise MalformedError(f'the key "{key}" stands twice', start)
            self.offsets[*path, key] = start
            self.expect(":")
            found[key] = self.value((*path, key))
            self.separator("}")
        self.expect("}")
        return found

    def array(self, path: KeyPath) -> list[Any]:
        self.expect("[")
        found: list[Any] = []
        while self.peek() != "]":
            self.offsets[*path, len(found)] = self.at
            found.append(self.value((*path, len(found))))
            self.separator("]")
        self.expect("]")
        return found

    def separator(self, end: str) -> None:
        if self.peek() == ",":
            self.at += 1
        elif self.peek() != end:
            raise MalformedError(f'"," or "{end}" is missing here', self.at)
