"""An option that takes one value and stands twice is refused, in every command."""

import pytest
import typer

from comoto.cli.main import app


def commands():
    """Return the words of every command with one of its options that takes a value."""
    found = []
    walk = [((), typer.main.get_command(app))]
    while walk:
        words, command = walk.pop()
        children = getattr(command, "commands", None)
        if children is not None:
            walk.extend(((*words, name), child) for name, child in children.items())
            continue
        for option in command.params:
            is_option = option.param_type_name == "option" and not option.is_eager
            if is_option and not option.multiple and not option.is_flag:
                found.append((*words, option.opts[0]))
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_an_option_given_twice(comoto, words):
    *command, option = words
    answer = comoto(*command, option, "A", option, "B")
    assert answer.code == 2
    assert f"{option} is given 2 times" in answer.error


def test_options_that_collect_may_repeat(comoto):
    answer = comoto("simulate", "--out", "/nowhere/at/all", "--set", "traps.nothing=1", "--set", "b=2")
    assert "unknown configuration key 'traps.nothing'" in answer.error


def test_a_switch_and_its_opposite(comoto):
    answer = comoto("index", "csv", "x", "--out", "y", "--overwrite", "--overwrite")
    assert "--overwrite is given 2 times" in answer.error
