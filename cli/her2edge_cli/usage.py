"""What click refuses of a command line, in one line as every other error: what was found, expected, to do."""

from __future__ import annotations

import re
from typing import Any

import click

from her2edge.text import meant, one_line

_VALUE = re.compile(r"(.+?) is not (?:a valid|in the range|one of) ", re.DOTALL)  # as click's types say it
_EXTRA = re.compile(r"Got unexpected extra arguments? \((.+)\)", re.DOTALL)


def usage_line(error: click.ClickException) -> str:
    """The error for people. What our own code raises as UsageError says all by itself, and stays."""
    if isinstance(error, click.BadOptionUsage):
        return one_line(_misused(error))
    context = getattr(error, "ctx", None)
    if context is None:
        return one_line(error.format_message())
    match error:
        case click.NoSuchOption():
            return one_line(_unknown(error.option_name, context))
        case click.MissingParameter(param=click.Parameter() as parameter):
            return one_line(_missing(parameter, context))
        case click.BadParameter(param=click.Parameter() as parameter):
            return one_line(_bad(error.message, parameter, context))
    extra = _EXTRA.match(error.message)
    if extra is not None:
        return one_line(f"found {extra[1]}, which is too much, expected {_form(context)}: {_help(context)}")
    return one_line(error.format_message())


def _unknown(name: str, context: click.Context) -> str:
    found = f"found {name}, which `{context.command_path}` does not have"
    for parameter in context.command.params:
        if isinstance(parameter, click.Argument) and _name(parameter, context).lower() == name.lstrip("-"):
            return f"{found}: give {_name(parameter, context)} by itself, as in {_form(context)}"
    known = [
        option
        for parameter in context.command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    ]
    return f"{found}{meant(name, known)}: {_help(context)}"


def _missing(parameter: click.Parameter, context: click.Context) -> str:
    if not isinstance(parameter, click.Option):
        return f"found no {_name(parameter, context)}, expected {_form(context)}: {_help(context)}"
    about = (parameter.help or "").partition(". ")[0].rstrip(".")
    return f"found no {_name(parameter, context)}, expected {_with_value(parameter, context)}: " + (
        about[:1].lower() + about[1:] if about else _help(context)
    )


def _bad(message: str, parameter: click.Parameter, context: click.Context) -> str:
    value, name = _VALUE.match(message), _name(parameter, context)
    expected = _expected(parameter.type)
    if value is None or expected is None:
        return f"{name}: {message}"
    choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
    near = meant(value[1].strip("'\""), map(str, choices))
    return f"found {name} {value[1]}{near}, expected {expected}: {_help(context)}"


def _expected(kind: click.ParamType[Any]) -> str | None:
    """What a value must be; None where click says it better."""
    if isinstance(kind, click.Choice):
        return f"one of {', '.join(map(str, kind.choices))}"
    what = "a whole number" if kind.name.startswith("integer") else "a number"
    if isinstance(kind, click.IntRange | click.FloatRange):
        ends = (
            ("above" if kind.min_open else "at least", kind.min),
            ("below" if kind.max_open else "at most", kind.max),
        )
        limits = " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)
        return f"{what} of {limits}".replace(" of above", " above").replace(" of below", " below")
    return what if kind.name in ("integer", "float") else None


def _misused(error: click.BadOptionUsage) -> str:
    name = error.option_name
    if "does not take" in error.message:
        return f"found {name} with a value, expected it alone: leave the value out"
    return f"found {name} without a value, expected one: write it after {name}"


def _name(parameter: click.Parameter, context: click.Context) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return parameter.make_metavar(context).strip("[]")


def _with_value(option: click.Option, context: click.Context) -> str:
    return f"{_name(option, context)} {option.make_metavar(context)}"


def _form(context: click.Context) -> str:
    """How the command is called."""
    return f"`{' '.join((context.command_path, *context.command.collect_usage_pieces(context)))}`"


def _help(context: click.Context) -> str:
    return f"see `{context.command_path} -h`"
