"""docs/reference/ says what the commands say, and its lines work where they are pasted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from her2edge_cli.main import cli
from her2edge_cli.sections import SUMMARY

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGE = (REFERENCE / "commands.md").read_text(encoding="utf-8")
COMPLETION = (REFERENCE / "shell-completion.md").read_text(encoding="utf-8")


def test_the_command_reference_is_what_the_commands_say() -> None:
    command = [sys.executable, str(REFERENCE / "make.py"), "--check"]  # of its own: click keeps help options
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `make docs`: {done.stderr}"


def test_every_command_and_option_occurs_in_the_reference() -> None:
    parts = dict(re.findall(r"^### her2edge (\S+)\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL))
    assert set(parts) == set(cli.commands)
    for name, command in cli.commands.items():
        for parameter in command.params:
            for word in parameter.opts if isinstance(parameter, click.Option) else ():
                assert re.search(rf"^  {re.escape(word)}\b", parts[name], re.MULTILINE), (name, word)
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"


@pytest.fixture
def overview() -> str:
    """`her2edge --help` at 80 columns."""
    context = click.Context(cli, info_name="her2edge", terminal_width=80, max_content_width=80)
    return cli.get_help(context)


def test_help_lists_every_command_once_in_its_section(overview: str) -> None:
    assert list(cli.sections) == ["Use", "Make a model", "Trust", "Machine"]
    places = [overview.index(f"\n{title}:\n") for title in cli.sections]
    assert places == sorted(places)
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", overview, re.MULTILINE)
    assert sorted(listed) == sorted(cli.commands)


def test_no_summary_is_long_or_cut(overview: str) -> None:
    assert "..." not in overview.partition("\nUse:\n")[2]
    assert max(map(len, overview.splitlines())) <= 80
    for name, command in cli.commands.items():
        summary = command.get_short_help_str(1000)
        assert len(summary) <= SUMMARY, (name, summary)
        assert f"  {summary}\n" in overview


def shells() -> dict[str, str]:
    """The documented line by shell."""
    return dict(re.findall(r"^```(bash|zsh|fish)\n(.*?)\n```$", COMPLETION, re.MULTILINE | re.DOTALL))


def test_a_line_for_each_shell_is_documented() -> None:
    assert set(shells()) == {"bash", "zsh", "fish"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_makes_the_shells_completion(shell: str) -> None:
    (assignment,) = re.findall(r"_HER2EDGE_COMPLETE=\w+ her2edge", shells()[shell])
    done = her2edge(dict([assignment.removesuffix(" her2edge").split("=")]))
    assert done.returncode == 0
    assert "_HER2EDGE_COMPLETE" in done.stdout
    assert f"{shell}_complete" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_runs_in_its_shell(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    call = f"'{sys.executable}' -m her2edge_cli"
    own = f"function her2edge; {call} $argv; end" if shell == "fish" else f'her2edge() {{ {call} "$@"; }}'
    before = "autoload -U compinit && compinit -u -D\n" if shell == "zsh" else ""
    check = {"bash": "complete -p her2edge", "zsh": "echo $_comps[her2edge]", "fish": "complete -c her2edge"}
    done = subprocess.run(
        [program, "-c", f"{before}{own}\n{shells()[shell]}\n{check[shell]}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "_her2edge_completion" in done.stdout


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("her2edge cla", "plain,classify"), ("her2edge quantize --sch", "plain,--scheme"),
     ("her2edge stain --profile t", "plain,tiatoolbox")],
)  # fmt: skip
def test_a_tab_completes_commands_options_and_choices(line: str, wanted: str) -> None:
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    done = her2edge({"_HER2EDGE_COMPLETE": "bash_complete", **asked})
    assert wanted in done.stdout.splitlines()


def her2edge(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "her2edge_cli"],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
