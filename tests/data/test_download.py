"""Downloads from a server on this machine: the right file arrives whole, anything else leaves nothing."""

import hashlib
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import Progress, download
from pellucid.data.download import RemoteFile, fetch, is_intact
from pellucid.errors import DataError, ResourceError
from tests.data.server import local_server, redirects, sends

BODY = np.random.default_rng(3).bytes(700_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with local_server() as running:
        yield running


def remote(*urls: str) -> RemoteFile:
    return RemoteFile("file.gz", urls, len(BODY), hashlib.sha256(BODY).hexdigest())


def test_the_file_arrives(server, tmp_path):
    server.answers["/file.gz"] = sends(BODY)
    seen: list[Progress] = []
    path = fetch(remote(server.address + "/file.gz"), tmp_path / "cache", seen.append)
    assert path == tmp_path / "cache" / "file.gz"
    assert path.read_bytes() == BODY
    assert is_intact(path, remote())
    assert [progress.done for progress in seen] == [262144, 524288, 700000]
    assert seen[-1] == Progress("download file.gz", 700000, 700000, "bytes")


def test_a_body_without_announced_length(server, tmp_path):
    server.answers["/file.gz"] = sends(BODY, announced=None)
    assert fetch(remote(server.address + "/file.gz"), tmp_path).read_bytes() == BODY


def test_redirects_are_followed(server, tmp_path):
    server.answers["/old"] = redirects("/file.gz")
    server.answers["/file.gz"] = sends(BODY)
    assert fetch(remote(server.address + "/old"), tmp_path).read_bytes() == BODY


def test_the_second_home_is_tried(server, tmp_path):
    server.answers["/b"] = sends(BODY[::-1])
    server.answers["/c"] = sends(BODY)
    homes = [server.address + path for path in ("/a", "/b", "/c", "/d")]
    assert fetch(remote(*homes), tmp_path).read_bytes() == BODY
    assert server.asked == ["/a", "/b", "/c"]


flipped = bytearray(BODY)
flipped[350_000] ^= 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "the server answered 404 Not Found"),
        (sends(bytes(flipped)), "the contents are not the published ones"),
        (sends(BODY[:400_000], announced=len(BODY)), "only 400000 of 700000 bytes came"),
        (sends(BODY[:400_000], announced=None), "only 400000 of 700000 bytes came"),
        (sends(BODY[:-1]), "the server announces 699999 bytes, but the file has 700000"),
        (sends(BODY + b"more"), "the server announces 700004 bytes, but the file has 700000"),
        (sends(BODY + b"more", announced=None), "more than the expected 700000 bytes came"),
        (sends(b""), "the server announces 0 bytes"),
        (sends(b"", announced=None), "only 0 of 700000 bytes came"),
        (redirects("file:///etc/passwd"), "the server answered 302"),
    ],
)
def test_what_goes_wrong_leaves_nothing_behind(server, tmp_path, answer, reason):
    if answer is not None:
        server.answers["/file.gz"] = answer
    url = server.address + "/file.gz"
    with pytest.raises(DataError, match="nothing was kept") as caught:
        fetch(remote(url), tmp_path)
    assert f"{url}: {reason}" in str(caught.value)
    assert "pass that folder as root" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_keeps_the_file_that_was_there(server, tmp_path):
    (tmp_path / "file.gz").write_bytes(b"older")
    server.answers["/file.gz"] = sends(bytes(flipped))
    with pytest.raises(DataError):
        fetch(remote(server.address + "/file.gz"), tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == b"older"
    assert not is_intact(tmp_path / "file.gz", remote())


def test_nobody_listens(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.gz"
        with pytest.raises(DataError, match=r"no connection \(.*refused"):
            fetch(remote(url), tmp_path)


def test_an_answer_that_is_not_http(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example.org ESMTP\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(DataError, match="the connection broke off after 0 bytes"):
            fetch(remote(f"http://127.0.0.1:{listener.getsockname()[1]}/"), tmp_path)
        thread.join()


def test_a_silent_server_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    over = threading.Event()

    def stall(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY[:100])
        handler.wfile.flush()
        over.wait(10)

    server.answers["/file.gz"] = stall
    try:
        with pytest.raises(DataError, match="the connection broke off after"):
            fetch(remote(server.address + "/file.gz"), tmp_path)
    finally:
        over.set()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/file.gz", "data:,hello"])
def test_only_http_is_fetched(tmp_path, url):
    with pytest.raises(DataError, match="only http and https addresses are fetched"):
        fetch(remote(url), tmp_path)


def test_a_folder_that_cannot_be_written(server, tmp_path):
    server.answers["/file.gz"] = sends(BODY)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot be written"):
        fetch(remote(server.address + "/file.gz"), tmp_path / "file")


def test_what_the_caller_raises_while_watching_is_the_callers(server, tmp_path):
    server.answers["/file.gz"] = sends(BODY)

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(remote(server.address + "/file.gz"), tmp_path, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_intact_means_every_byte(tmp_path: Path):
    path = tmp_path / "file.gz"
    assert not is_intact(path, remote())
    path.write_bytes(BODY[:-1])
    assert not is_intact(path, remote())
    path.write_bytes(bytes(flipped))
    assert not is_intact(path, remote())
    path.write_bytes(BODY)
    assert is_intact(path, remote())
