"""The command line as a user meets it: examples, suggestions, the version, completion, the browser, signals."""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest

from realtime.commands.examples import EXAMPLES
from realtime.commands.main import build_parser
from tests.realtime import scene
from tests.realtime.recording import object_recordings
from tests.realtime.waiting import eventually

COMMAND = [sys.executable, "-m", "realtime"]


def list_parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from list_parsers(verb)


PARSERS = {parser.prog: parser for parser in list_parsers(build_parser())}


def fail_to_parse(capsys, *argv):
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args(argv)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, "one line"
    return error


def test_every_help_has_examples_and_no_example_lacks_a_command():
    assert EXAMPLES.keys() == PARSERS.keys()
    for prog, parser in PARSERS.items():
        assert f"\nexamples:\n  {EXAMPLES[prog][0]}\n" in parser.format_help()


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_parses_and_fits_a_terminal(line):
    assert len(line) <= 78
    command = re.search(r"gazecast[^#>)]*", line)[0]
    args = build_parser().parse_args(shlex.split(command)[1:])
    assert callable(args.verb)


def test_the_version_is_printed():
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == f"gazecast {version('gazecast')}\n"


@pytest.mark.parametrize(
    ("argv", "near"),
    [
        (("rnu",), "run"),
        (("simluate", "--video", "x"), "simulate"),
        (("docter",), "doctor"),
        (("--verbose", "reviw"), "review"),
        (("engine", "bulid"), "build"),
        (("calibrate", "hand-eye"), "handeye"),
        (("pull", "mobile_sam"), "models pull"),
        (("run", "--sorce", "camera:0"), "--source"),
        (("run", "--recrod=x.mcap"), "--record"),
        (("run", "--source", "camera:0", "--veiw"), "--view"),
        (("calibrate", "camera", "--imges", "photos"), "--images"),
        (("segment", "a.jpg", "--pont", "1,2"), "--point"),
        (("export", "--vidoe"), "--video"),
        (("--verison",), "--version"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(capsys, argv, near):
    assert f"did you mean {near}?" in fail_to_parse(capsys, *argv)


def test_a_flag_of_another_verb_is_not_taken_for_a_misspelt_one(capsys):
    assert "did you mean" not in fail_to_parse(capsys, "simulate", "--source", "x")
    assert "did you mean" not in fail_to_parse(capsys, "run", "--precision", "f32")


def test_verbose_is_accepted_before_and_after_the_verb():
    for argv, is_verbose in ((["--verbose", "doctor"], True), (["doctor", "--verbose"], True), (["doctor"], False)):
        assert build_parser().parse_args(argv).verbose is is_verbose


def test_a_name_that_is_near_to_nothing_lists_the_verbs(capsys):
    error = fail_to_parse(capsys, "xyzzy")
    assert "did you mean" not in error
    assert "run, config, simulate" in error.replace("'", "")  # quoted in some versions of Python
    assert "see gazecast --help" in error


def test_a_flag_that_may_be_shortened_is_no_mistake():
    assert build_parser().parse_args(["run", "--sour", "camera:0"]).source == "camera:0"


# In each shell: what is offered after the words, one candidate a line.
BASH = """
source "$1"
COMP_WORDS=(gazecast {words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_shtab_gazecast
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = "source $argv[1]; complete -C 'gazecast {words}'"


def write_completion(shell, file):
    """Write the script of a shell to a file, as a user does who starts a shell often."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([*COMMAND, "completion", shell], capture_output=True, text=True, timeout=300, check=True)
    file.write_text(done.stdout)
    return done.stdout


def complete(shell, script, words):
    if shell == "bash":
        command = ["bash", "-c", BASH.format(words=" ".join(shlex.quote(word) for word in words)), "bash", script]
    else:
        command = ["fish", "--no-config", "-c", FISH.format(words=" ".join(words)), script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return {line.split("\t")[0].strip() for line in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes_verbs_flags_and_values(shell, tmp_path):
    script = tmp_path / "completion"
    write_completion(shell, script)
    assert {"run", "replay", "review"} <= complete(shell, script, ["r"])
    assert {"--source", "--set"} <= complete(shell, script, ["run", "--s"])
    assert {"build", "bench"} <= complete(shell, script, ["engine", "b"])
    assert "openvino" in complete(shell, script, ["run", "--engine", "open"])


def test_zsh_reads_its_script(tmp_path):
    assert write_completion("zsh", tmp_path / "_gazecast").startswith("#compdef gazecast")
    code = "fpath=($1 $fpath); autoload -Uz compinit; compinit -u -D; print ${_comps[gazecast]}; autoload +X _gazecast"
    done = subprocess.run(["zsh", "-f", "-c", code, "zsh", str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, "_gazecast"), done.stderr


@pytest.fixture
def browser(tmp_path, monkeypatch):
    """A browser that fetches the page and writes its address down; $BROWSER names it."""
    visited, program = tmp_path / "visited", tmp_path / "browser"
    fetch = "import sys, urllib.request as r; print(sys.argv[1], r.urlopen(sys.argv[1], timeout=60).status)"
    program.write_text(f'#!/bin/sh\necho noise\n{sys.executable} -c "{fetch}" "$1" > {visited}.new\n'
                       f"mv {visited}.new {visited}\n")  # fmt: skip
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(program))
    return visited


FAKE = ("--engine", "fake", "--publish", "tcp://127.0.0.1:0")


@pytest.mark.parametrize(
    "argv",
    [
        ("run", *FAKE),
        ("run", "--json", *FAKE),
        ("replay", "RECORDING", *FAKE),
        ("review", "RECORDING"),
        ("demo", *FAKE[:2], "--video", "CLIP", "--gaze", "wander"),
    ],
    ids=lambda argv: " ".join(argv[:2]),
)
def test_open_opens_the_page_in_the_browser_once_it_is_served(browser, tmp_path, argv):
    made = {"RECORDING": lambda: object_recordings.record(tmp_path / "a.mcap", object_recordings.run(600, 1)),
            "CLIP": lambda: scene.write_clip(tmp_path, 24)[0]}  # fmt: skip
    words = [str(made[word]()) if word in made else word for word in argv]
    process = subprocess.Popen(
        [*COMMAND, *words, "--open", "--set", "view.port=0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        eventually(browser.exists, "a visit")
    finally:
        process.terminate()
        out, error = process.communicate(timeout=300)
    address, status = browser.read_text().split()
    assert (f"open {address}" in error.splitlines(), status) == (True, "200")
    assert "noise" not in out + error


def test_where_there_is_no_browser_the_user_is_asked_to_open_it(monkeypatch):
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    command = [*COMMAND, "run", "--open", "--engine", "fake", "--publish", "tcp://127.0.0.1:0", "--set", "view.port=0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert any("no browser can be opened here" in line for line in process.stderr)
        finally:
            process.terminate()


@pytest.mark.parametrize("number", ["INT", "TERM"])
def test_simulate_in_the_background_of_a_script_ends_on_a_signal(number, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 4)
    script = """
"$@" 2>"$0.log" &
until grep -q playing "$0.log"; do kill -0 $! || exit 3; sleep 0.05; done
kill -NUMBER $!
wait $!
"""
    command = [*COMMAND, "simulate", "--port", "0", "--video", str(clip)]
    done = subprocess.run(
        ["sh", "-c", script.replace("NUMBER", number), str(tmp_path / "out"), *command], timeout=300, check=False
    )
    assert done.returncode == 0, (tmp_path / "out.log").read_text()
