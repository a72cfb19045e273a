"""Readers of bytes from outside refuse what is invalid with errors of their own; `python -m tests.fuzz` is long."""

from __future__ import annotations

import ast
import re
from random import Random

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.comms.envelope import MAX_ITEMS, unpack_msgpack
from realtime.errors import WireError
from tests.fuzz.failures import FAILED, ROOT, failed_folder, read_failed
from tests.fuzz.mutation import mutate
from tests.fuzz.readers import READERS

every_reader = pytest.mark.parametrize("name", READERS)
pytestmark = pytest.mark.filterwarnings("ignore")


@every_reader
def test_valid_input_is_read(name: str) -> None:
    reader = READERS[name]
    for data in reader.make_seeds():
        reader.read(data)


@every_reader
def test_invalid_input_is_read_or_refused(name: str) -> None:
    reader = READERS[name]
    seeds = list(reader.make_seeds())
    changed = st.integers(0, 2**32).map(lambda number: mutate(seeds, Random(number)))

    @settings(max_examples=200, derandomize=True, database=None)
    @given(st.one_of(changed, changed, st.binary(max_size=64)))
    def check(data: bytes) -> None:
        reader.try_read(data)

    check()


@every_reader
def test_what_once_failed_is_read_or_refused(name: str) -> None:
    for data in read_failed(name):
        READERS[name].try_read(data)


def test_every_failed_input_has_a_reader() -> None:
    assert {path.name for path in FAILED.iterdir()} <= {failed_folder(name).name for name in READERS}


@pytest.mark.parametrize("head", [b"\xdd", b"\xdf"], ids=["lists", "maps"])
def test_nested_lengths_that_promise_too_much_take_no_memory(head: bytes) -> None:
    """Each level would make room for as many items as the message has bytes."""
    with pytest.raises(WireError, match="not msgpack"):
        unpack_msgpack((head + (MAX_ITEMS + 1).to_bytes(4, "big")) * 1000 + bytes(2 * MAX_ITEMS))


def test_a_minute_of_masks_is_not_too_long() -> None:
    assert unpack_msgpack(msgpack.packb([{"seq": number} for number in range(60 * 120)]))


UNSAFE = {"eval", "exec", "pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
SUSPECT = re.compile(rf"\b({'|'.join(UNSAFE)}|allow_pickle|torch\.load|yaml\.\w*load\w*)\b")
RESTRICTED = "engines/models/checkpoint.py"
"""Its unpickler knows tensors and nothing else, see test_checkpoint.py and the reader `checkpoint`."""
PACKAGES = ("engines", "calibration", "realtime", "benchmarks", "demos")


def find_unsafe(node: ast.AST) -> str | None:
    """Describe an import or a call that could run code which data contains."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
        return "imports it" if {name.split(".")[0] for name in names} & UNSAFE else None
    if not isinstance(node, ast.Call):
        return None
    called, options = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
    if called in UNSAFE or options.get("allow_pickle") == "True":
        return called
    if called == "torch.load":
        return called if options.get("weights_only") != "True" else None
    if re.fullmatch(r"yaml\.(load|load_all)", called):
        loader = ast.unparse(node.args[1]) if len(node.args) > 1 else options.get("Loader", "Unsafe")
        return called if "Unsafe" in loader or "Full" in loader else None
    return called if re.fullmatch(r"yaml\.(unsafe|full)_load(_all)?", called) else None


def test_nothing_runs_code_from_data() -> None:
    """No pickle, no `eval`, no objects of YAML, and torch reads tensors only."""
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        text, name = path.read_text(), path.relative_to(ROOT).as_posix()
        if SUSPECT.search(text) and name != RESTRICTED:
            found += [(name, why) for node in ast.walk(ast.parse(text)) if (why := find_unsafe(node))]
    assert found == []


@pytest.mark.parametrize(
    "code", ["import pickle", "from pickle import loads", "eval(x)", "torch.load(f)", "np.load(f, allow_pickle=True)",
             "yaml.load(t)", "yaml.load(t, yaml.UnsafeLoader)", "yaml.unsafe_load(t)"],
)  # fmt: skip
def test_what_runs_code_from_data_is_found(code: str) -> None:
    assert SUSPECT.search(code)
    assert any(find_unsafe(node) for node in ast.walk(ast.parse(code)))
