"""Text for people: one line, nothing unprintable, whatever a damaged file put into it."""

from __future__ import annotations


def shown(text: str) -> str:
    """`text` with unprintable characters (also undecodable bytes of a file name) as `?`."""
    return "".join(character if character.isprintable() else "?" for character in text)


def one_line(text: str) -> str:
    """`shown`, with every run of white space as one space."""
    return shown(" ".join(text.split()))


def percent(share: float, digits: int | None = 0) -> str:
    """A share, 0..1, as `82 %`, with so many decimals; None: those it has, of six figures at most."""
    return f"{100 * share:g} %" if digits is None else f"{100 * share:.{digits}f} %"


def first_line(error: BaseException) -> str:
    """What a foreign error says in its first line that says anything, else its kind."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
