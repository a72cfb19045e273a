"""Tests that checkpoints are read as PyTorch reads them, and that no file can do more than hold numbers."""

from __future__ import annotations

import os
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from engines import ModelError
from engines.models import weight_arrays
from engines.models.checkpoint import read_checkpoint
from engines.models.sam_vit_graph import VitShape

torch = pytest.importorskip("torch")

from tests.engines.networks.published import build_published, write_checkpoint  # noqa: E402

SMALL = VitShape(width=32, depth=2, heads=2, global_blocks=(1,))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sam_vit_b_01ec64.pth"


def test_tensors_are_those_that_torch_reads(file: Path) -> None:
    grid = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = OrderedDict(
        whole=grid, turned=grid.T, part=grid[1:3, ::2], parameter=torch.nn.Parameter(torch.ones(3)),
        half=torch.tensor([0.5, -2.0], dtype=torch.float16), count=torch.tensor(7), flags=torch.tensor([True, False]),
        empty=torch.zeros(0, 3), double=torch.tensor([1 / 3], dtype=torch.float64),
        int=torch.tensor([3], dtype=torch.int32),
    )  # fmt: skip
    state._metadata = OrderedDict(version=1)  # type: ignore[attr-defined] - as state_dict() leaves it
    torch.save(state, file)
    found = read_checkpoint(file)
    assert list(found) == list(state)
    for name, tensor in state.items():
        wanted = tensor.detach().numpy()
        assert found[name].dtype == wanted.dtype
        np.testing.assert_array_equal(found[name], wanted)
        assert not found[name].flags.writeable


class Command:
    """Runs a command when it is unpickled by a reader that allows everything."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


def repack(file: Path, change: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Write the archive again with other contents of members, by the end of their names."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, body in members.items():
            archive.writestr(name, next((new for end, new in change.items() if name.endswith(end)), body))


def test_a_file_that_carries_code_is_refused_and_runs_nothing(file: Path, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    torch.save({"weight": torch.zeros(3), "more": Command(trap)}, file)
    with pytest.raises(ModelError, match=r"\.pth is not a readable checkpoint \(it holds \w+\.mkdir"):
        read_checkpoint(file)
    assert not trap.exists()


@pytest.mark.parametrize("cut", [0, 20, 700, -1, -200])
def test_a_file_that_was_cut_off_is_refused(file: Path, cut: int) -> None:
    torch.save({"weight": torch.zeros(300), "bias": torch.zeros(300)}, file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ModelError, match=r"\.pth is not a readable checkpoint \(.+\); fetch it again"):
        read_checkpoint(file)


def test_storages_that_are_not_what_the_table_says_are_refused(file: Path) -> None:
    for change, compression in (({"data/0": bytes(40)}, zipfile.ZIP_STORED), ({}, zipfile.ZIP_DEFLATED)):
        torch.save({"weight": torch.zeros(300)}, file)
        repack(file, change, compression)
        with pytest.raises(ModelError, match=r"data/0 is not 300 numbers"):
            read_checkpoint(file)


@pytest.mark.parametrize(
    "state", [[torch.zeros(3)], {"epoch": 3, "model": torch.zeros(3)}, {"a": {"b": torch.zeros(1)}}]
)
def test_what_is_not_a_plain_table_is_refused(file: Path, state: object) -> None:
    torch.save(state, file)
    with pytest.raises(ModelError, match="not a plain table of weights"):
        read_checkpoint(file)


def test_other_archives_and_a_strided_view_past_its_storage_are_refused(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    with pytest.raises(ModelError, match="is not a checkpoint of PyTorch"):
        read_checkpoint(file)
    torch.save({"weight": torch.zeros(300)}, file)
    with zipfile.ZipFile(file) as archive:
        table = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    size, strides = b"M\x2c\x01\x85", b"K\x01\x85"  # (300,) and (1,) as they are pickled
    assert size in table
    assert strides in table
    repack(file, {"data.pkl": table.replace(strides, b"K\x02\x85")})
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        read_checkpoint(file)


def test_a_model_is_refused_under_the_name_of_another(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(build_published(SMALL), file)
    with pytest.raises(ModelError, match=r"2 blocks of width 32, and sam_vit_b has 12 of 768; fetch it again"):
        weight_arrays.read_arrays(file.parent, "sam_vit_b")
    monkeypatch.setitem(weight_arrays.SHAPES, "sam_vit_b", SMALL)
    assert len(weight_arrays.read_arrays(file.parent, "sam_vit_b")) == len(torch.load(file))
