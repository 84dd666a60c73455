"""A command line that is not understood is refused in one line: what was found, expected, and what to do."""

import click
import pytest

from her2edge_cli.main import cli, main


def refused(capsys, *arguments):
    """The one line that a refused command prints."""
    assert main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("her2edge: found ")
    return line.removeprefix("her2edge: ")


LINES = {
    "classify a.svs --out o --theads 2": "found --theads, which `her2edge classify` does not have (did you "
    "mean '--threads'?): see `her2edge classify -h`",
    "bench --model m.tflite": "found --model, which `her2edge bench` does not have: give MODEL by itself, as "
    "in `her2edge bench [OPTIONS] [MODEL]`",
    "--modle": "found --modle, which `her2edge` does not have: see `her2edge -h`",
    "clasify a.svs": "found command 'clasify' (did you mean 'classify'?), expected one of those that "
    "`her2edge -h` lists",
    "classify a.svs": "found no --out, expected --out DIR: folder for the results; each slide gets its own "
    "inside",
    "report": "found no RESULTS, expected `her2edge report [OPTIONS] RESULTS`: see `her2edge report -h`",
    "verify a b": "found b, which is too much, expected `her2edge verify [OPTIONS] MODEL`: "
    "see `her2edge verify -h`",
    "classify a --out o --mpp 0,2": "found --mpp '0,2', expected a number: see `her2edge classify -h`",
    "classify a.svs --out o --min-tissue-tiles 0": "found --min-tissue-tiles 0, expected a whole number of "
    "at least 1: see `her2edge classify -h`",
    "synthesize --out o --paper 0": "found --paper 0.0, expected a number above 0 and at most 1: see "
    "`her2edge synthesize -h`",
    "classify a.svs --out o --runtime openvin": "found --runtime 'openvin' (did you mean 'openvino'?), "
    "expected one of litert, openvino, tflite-runtime, tuned: see `her2edge classify -h`",
    "classify a.svs --out": "found --out without a value, expected one: write it after --out",
    "classify a.svs --out o --fresh=1": "found --fresh with a value, expected it alone: leave the value out",
    "tiles a.svs --out o": "found nothing that gives the labels, expected --annotations (regions), "
    "--cohort (scores) or --from-folders (class folders): add one of them",
}


@pytest.mark.parametrize(("arguments", "line"), LINES.items())
def test_a_command_line_that_is_not_understood_is_refused_in_one_line(capsys, arguments, line):
    assert refused(capsys, *arguments.split()) == line


def test_what_is_typed_cannot_break_the_line(capsys):
    assert "--ou t" in refused(capsys, "classify", "a.svs", "--ou\nt", "o")


def test_whatever_a_command_needs_is_named_where_it_is_missing(capsys):
    context = click.Context(cli)
    for name, command in cli.commands.items():
        if any(one.required for one in command.get_params(context)):
            assert refused(capsys, name).startswith("found no "), name
