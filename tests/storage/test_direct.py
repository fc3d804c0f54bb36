"""The quick way to small objects, against servers of all kinds of manners."""

import functools
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.waiting import HANG_S
from seglib.storage.backends import direct
from seglib.storage.backends.direct import LARGEST, read_small
from seglib.storage.backends.signing import Signer
from tests.fakes.certificates import self_signed

OBJECTS = {f"small/{number}": b"%d " % number * number for number in range(200)}

Answer = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


def answer(
    handler: http.server.BaseHTTPRequestHandler,
    content: bytes,
    *,
    status: int = 200,
    length: int | None = None,
    ends: bool = False,
    **headers: str,
) -> None:
    """Answer, with the Content-Length unless another one is given."""
    handler.send_response(status)
    handler.send_header(
        "Content-Length", str(len(content) if length is None else length)
    )
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)
    handler.close_connection = ends


@contextmanager
def serving(
    manners: Answer = answer, *, context: ssl.SSLContext | None = None
) -> Iterator[str]:
    """A server of `OBJECTS`; gives its host and port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer takes 40 ms
        asked = 0  # on this connection

        def do_GET(self) -> None:
            self.asked += 1
            content = OBJECTS.get(self.path.removeprefix("/"))
            if content is None:
                answer(self, b"none", status=404)
            else:
                manners(self, content)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # whoever asked has hung up
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def finish_request(self, request, client_address) -> None:
            if context is None:
                super().finish_request(request, client_address)
                return
            with context.wrap_socket(request, server_side=True) as encrypted:
                super().finish_request(encrypted, client_address)

        def handle_error(self, request, client_address) -> None:
            """A client that does not trust us hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A server that is slow, because the machine is busy, is no silent one."""
    monkeypatch.setattr(direct, "_CONNECT_S", HANG_S)
    monkeypatch.setattr(direct, "_SILENT_S", HANG_S)


def read(host: str, paths=tuple(OBJECTS), scheme: str = "http") -> dict[str, bytes]:
    """What comes; nothing comes twice."""
    found: dict[str, bytes] = {}
    for path, content in read_small(lambda path: (scheme, host, f"/{path}"), paths):
        assert path not in found
        found[path] = bytes(content)
    return found


def in_pieces(handler, content):
    """As a slow network brings it, with the head broken up, too."""
    handler.send_response(200)
    handler.send_header("content-length", str(len(content)))
    handler.flush_headers()
    for byte in b"\r\n":
        handler.wfile.write(bytes([byte]))
        time.sleep(0.001)
    for start in range(0, len(content), 100):
        handler.wfile.write(content[start : start + 100])
        time.sleep(0.001)


def ends_the_twentieth(handler, content):
    if handler.asked == 20:
        answer(handler, content, ends=True, Connection="close")
    else:
        answer(handler, content)


@pytest.mark.parametrize("manners", [answer, in_pieces, ends_the_twentieth])
def test_every_object_that_is_there_is_read(manners):
    with serving(manners) as host:
        assert read(host, [*OBJECTS, "missing/1", "missing/2"]) == OBJECTS


def no_length(handler, content):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))


def overloaded(handler, content):
    answer(handler, b"", status=503)


def one_each(handler, content):
    answer(handler, content, ends=True)


def short(handler, content):
    answer(handler, content, length=len(content) + 1, ends=True)


def larger(handler, content):
    answer(handler, bytes(LARGEST + 1))


def nonsense(handler, content):
    handler.wfile.write(b"\x00\xff no answer of HTTP\r\n\r\n")


def more_than_said(handler, content):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nseveral")


@pytest.mark.parametrize(
    "manners",
    [no_length, overloaded, one_each, short, larger, nonsense, more_than_said],
)
def test_no_wrong_content_passes_from_a_misbehaving_server(manners):
    with serving(manners) as host:
        found = read(host)
    assert len(found) <= 32  # at most one of each connection
    assert found.items() <= OBJECTS.items()


def test_a_server_that_is_overloaded_for_a_while_loses_some_connections():
    def manners(handler, content):
        busy = handler.path.endswith("00")
        (overloaded if busy else answer)(handler, content)

    with serving(manners) as host:
        found = read(host)
    assert set(OBJECTS) - set(found) == {"small/100"}


def test_an_absent_server_gives_nothing():
    assert read("localhost:9") == {}


def test_a_proxy_is_left_to_others(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://localhost:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving() as host:
        assert read(host) == {}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("certificate") / "both.pem")


@pytest.mark.parametrize("is_trusted", [True, False])
def test_an_encrypted_connection_needs_a_certificate_that_is_trusted(
    certificate, monkeypatch, is_trusted
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if is_trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with serving(in_pieces, context=context) as host:
        assert read(host, scheme="https") == (OBJECTS if is_trusted else {})


@functools.cache
def _client(signature: str, token: str = "", endpoint: str = ""):
    return boto3.session.Session("KEY", "SECRET", token or None, "eu-west-1").client(
        "s3",
        endpoint_url=endpoint or None,
        config=Config(signature_version=signature),
    )


def _presign(client, path: str) -> str:
    place = {"Bucket": "bucket", "Key": path}
    return client.generate_presigned_url("get_object", Params=place, ExpiresIn=600)


@given(path=st.text(min_size=1, max_size=40).filter(str.isprintable))
@settings(max_examples=25)
@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:8333/below/it"])
@pytest.mark.parametrize("token", ["", "a+token/of=several%things"])
def test_addresses_are_those_that_boto3_signs(path, endpoint, token):
    client = _client("s3v4", token, endpoint)
    while True:
        signer = Signer(lambda path: (_presign(client, path), "SECRET"))
        scheme, host, target = signer.sign(path)
        expected = _presign(client, path)
        date = expected.partition("X-Amz-Date=")[2][:16]
        if date in target:  # both in one second
            break
    assert _parts(f"{scheme}://{host}{target}") == _parts(expected)


def _parts(address: str) -> tuple[str, set[str]]:
    place, _, query = address.partition("?")
    return place, set(query.split("&"))


@pytest.mark.parametrize(
    ("version", "secret", "told"),
    [("s3", "SECRET", "not signed by AWS4"), ("s3v4", "ANOTHER", "in another way")],
)
def test_what_is_signed_otherwise_is_left_to_boto3(version, secret, told):
    signer = Signer(lambda path: (_presign(_client(version), path), secret))
    with pytest.raises(ValueError, match=told):
        signer.sign("path")
