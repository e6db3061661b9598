"""Archives on s3://, against a store that runs in this process. Nothing here can reach AWS."""

import io
import logging
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import numpy as np
import pytest
import s3fs
import soundfile
from moto import server as moto_server
from werkzeug.serving import make_server

from flows import cli
from pipelines import fetching
from pipelines.archive import list_archive, open_local
from pipelines.errors import ArchiveForbidden, ArchiveNotFound, ArchiveUnreachable
from pipelines.lake import Lake
from pipelines.query import run
from pipelines.settings import TagSettings
from pipelines.sources import list_source
from pipelines.tagging import RunReport, tag

KEY_ID, SECRET = "AKIATESTONLY00000001", "only/for+the/store/in/this/process"
ODD = (
    "a b.wav", 'it\'s "so".wav', "100%25.wav", "50%.wav", "日本/ü.wav", "a+b.wav", "#?*[x].wav",
    "a::b.wav", "a&b<c>.wav", "me@home.wav", "x/y/z.wav", "x/y.wav", "x/.hidden.wav",
)  # fmt: skip
REFUSAL = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{code}, and the"
    " request was {seen}</Message></Error>"
)


class Store:
    """An S3 store on a port of its own, that counts and can refuse, fail and go away."""

    def __init__(self) -> None:
        self.app = moto_server.DomainDispatcherApplication(moto_server.create_backend_app)
        self.port, self.server = 0, None
        self.requests: list[tuple[str, str, str]] = []  # method, path, query
        self.fault: Callable[[str, str], tuple[str, str] | None] = lambda method, path: None
        self.start()

    def __call__(self, environ: dict[str, Any], answer: Callable[..., Any]) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path, environ.get("QUERY_STRING", "")))
        fault = self.fault(method, path)
        if fault is None and f"Credential={KEY_ID}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            fault = ("403 Forbidden", "InvalidAccessKeyId")
        if fault is None:
            return self.app(environ, answer)
        status, code = fault
        seen = environ.get("HTTP_AUTHORIZATION", "").replace("<", "")  # some stores say it back
        body = b"" if method == "HEAD" else REFUSAL.format(code=code, seen=seen).encode()
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        answer(status, headers)
        return [body]

    def start(self) -> None:
        self.server = make_server("127.0.0.1", self.port, self, threaded=True)
        self.port = self.server.server_port
        Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def downloads(self) -> list[str]:
        """Objects that were read, whole or in part."""
        return [
            path
            for method, path, query in self.requests
            if method == "GET" and path.strip("/").count("/") and "list-type" not in query
        ]


class Bucket:
    """An empty bucket of a test's own."""

    def __init__(self, name: str, store: Store) -> None:
        self.name, self.store, self.url = name, store, f"s3://{name}"
        self.client = boto3.client("s3", endpoint_url=store.url)
        self.client.create_bucket(Bucket=name)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def copy(self, old: str, new: str) -> None:
        given = {"Bucket": self.name, "Key": old}
        self.client.copy_object(Bucket=self.name, Key=new, CopySource=given)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def multipart(self, key: str, content: bytes) -> None:
        given = {"Bucket": self.name, "Key": key}
        upload = self.client.create_multipart_upload(**given)["UploadId"]
        part = self.client.upload_part(**given, UploadId=upload, PartNumber=1, Body=content)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        self.client.complete_multipart_upload(**given, UploadId=upload, MultipartUpload=parts)


@pytest.fixture(scope="module")
def running() -> Iterator[Store]:
    logging.getLogger("werkzeug").setLevel("ERROR")
    store = Store()
    yield store
    store.stop()


@pytest.fixture
def store(running: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store, and an environment in which s3:// is this store and nothing else."""
    import fsspec

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": running.url, "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "NO_PROXY": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(fsspec.config.conf, "s3", {})
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setattr(fetching, "FETCH_WAIT_S", 0.001)
    boto3.setup_default_session()
    s3fs.S3FileSystem.clear_instance_cache()
    running.fault = lambda method, path: None
    running.requests.clear()
    yield running
    running.fault = lambda method, path: None
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.DEFAULT_SESSION = None


@pytest.fixture
def bucket(store: Store, request: pytest.FixtureRequest) -> Bucket:
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    return Bucket(name[:40].strip("-"), store)


def tone(hertz: float) -> bytes:
    """Half a second, always of the same size."""
    out = io.BytesIO()
    wave = 0.1 * np.sin(np.arange(8_000) * hertz * 2 * np.pi / 16_000)
    soundfile.write(out, wave, 16_000, format="WAV")
    return out.getvalue()


def settings(source: str, lake: Path, **given: Any) -> TagSettings:
    return TagSettings(source=source, lake=str(lake), **given)


def rows(lake: Path, sql: str) -> list[dict[str, Any]]:
    return run(Lake(lake), sql).to_pylist()


def states(lake: Path) -> dict[str, str]:
    return {row["uri"]: row["state"] for row in rows(lake, "FROM recordings ORDER BY uri")}


def books(report: RunReport) -> tuple[int, ...]:
    """Of a balanced run: tagged, known, failed, unchanged, gone."""
    parts = (report.tagged, report.failed, report.relabelled, report.unchanged)
    assert sum(parts) + report.pending == report.listed + report.unlisted
    return (report.tagged, report.known, report.failed, report.unchanged, report.gone)


def uris(source: str, **given: Any) -> list[str]:
    return [entry.uri for entry in list_source(source, **given)]


# ---- listing ------------------------------------------------------------------------------------


def test_objects_of_any_name_are_listed_in_order_and_open(bucket):
    for key in ODD:
        bucket.put(key, key.encode())
    bucket.put("x/", b"")  # what a console makes of "new folder"
    found = list(list_archive(bucket.url))
    assert [entry.uri for entry in found] == sorted(set(ODD) - {"x/.hidden.wav"})
    assert list(list_archive(bucket.url + "/")) == found
    for entry in found:
        assert entry.size_bytes == len(entry.uri.encode())
        with open_local(entry) as path:
            assert path.read_text() == entry.uri
        [alone] = list_archive(entry.path)
        assert (alone.path, alone.version) == (entry.path, entry.version)

    assert uris(f"{bucket.url}/x") == ["y.wav", "y/z.wav"]
    assert uris(bucket.url, include=("x/*",)) == ["x/y.wav", "x/y/z.wav"]
    assert uris(bucket.url, include=("*.wav",), exclude=("x", "*%*")) == sorted(
        key for key in ODD if not key.startswith("x/") and "%" not in key
    )
    assert "x/.hidden.wav" in uris(bucket.url, include=("**/.*",))


def test_a_folder_without_a_name_is_told_and_not_passed_over(bucket):
    for key in ("a.wav", "x//lost.wav", "x/b.wav"):
        bucket.put(key, b"1")
    told: list[tuple[str, str]] = []
    found = list_archive(bucket.url, on_error=lambda uri, why: told.append((uri, str(why))))
    assert [entry.uri for entry in found] == ["a.wav", "x/b.wav"]
    [(uri, why)] = told
    assert uri == "x//" and "folder without a name" in why and "Rename" in why


def test_more_objects_than_one_page_of_a_listing_holds(bucket, store):
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for number in range(1_200):
        backend.put_object(bucket.name, f"calls/{number:05d}.wav", f"{number}".encode())
    store.requests.clear()
    assert uris(bucket.url) == [f"calls/{number:05d}.wav" for number in range(1_200)]
    pages = [query for _, _, query in store.requests if "continuation-token" in query]
    assert pages and not store.downloads


# ---- runs ---------------------------------------------------------------------------------------


def test_a_bucket_is_tagged_once_and_only_what_changes_is_read_again(bucket, store, tmp_path):
    lake = tmp_path / "lake"
    for number, key in enumerate(ODD[:5]):
        bucket.put(f"calls/{key}", tone(200 + 40 * number))
    bucket.put("calls/notes.txt", b"no audio")
    given = settings(f"{bucket.url}/calls", lake)
    assert books(tag(given)) == (5, 0, 1, 0, 0)
    assert [row["uri"] for row in rows(lake, "FROM speech ORDER BY uri")] == sorted(ODD[:5])
    assert len(store.downloads) == 6

    store.requests.clear()
    assert books(tag(given)) == (0, 0, 0, 6, 0)
    assert not store.downloads

    was = {row["uri"]: row["content_hash"] for row in rows(lake, "FROM recordings")}
    bucket.put("calls/a b.wav", tone(500))  # of the same size
    bucket.delete("calls/100%25.wav")
    bucket.copy("calls/50%.wav", "calls/copy+of 50%.wav")
    bucket.copy('calls/it\'s "so".wav', "calls/moved?.wav")
    bucket.delete('calls/it\'s "so".wav')
    bucket.multipart("calls/日本/ü.wav", tone(360))  # the same bytes, under another etag
    assert books(tag(given)) == (4, 3, 0, 2, 2)
    assert len(store.downloads) == 4
    now = {row["uri"]: row["content_hash"] for row in rows(lake, "FROM recordings")}
    assert now["a b.wav"] != was["a b.wav"] and now["日本/ü.wav"] == was["日本/ü.wav"]
    assert now["moved?.wav"] == was['it\'s "so".wav']
    versions = [row["version"] for row in rows(lake, "FROM recordings WHERE uri LIKE '日本%'")]
    assert versions[0].endswith("-1")
    gone = {uri for uri, state in states(lake).items() if state == "gone"}
    assert gone == {"100%25.wav", 'it\'s "so".wav'}

    store.requests.clear()
    assert books(tag(given)) == (0, 0, 0, 6, 0)
    assert not store.downloads


def test_lists_and_shards_in_a_bucket(bucket, tmp_path):
    bucket.put("audio/a b+c.wav", tone(200))
    bucket.put("audio/#2?.wav", tone(300))
    table = (
        f'uri,who\n{bucket.url}/audio/a b+c.wav,ann\naudio/#2?.wav,"b,c"\n{bucket.url}/no.wav,x\n'
    )
    bucket.put("list.csv", table.encode())
    bucket.put("kaldi/wav.scp", b"u1 ../audio/a b+c.wav\nu2 sox x.wav -t wav - |\n")
    bucket.put("kaldi/utt2spk", b"u1 ann\n")
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as tar:
        for name, content in (("s1.wav", tone(400)), ("s1.json", b'{"who": "dan"}')):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    bucket.put("shard.tar", shard.getvalue())

    (tmp_path / "list.csv").write_text(table.replace("\naudio/", f"\n{bucket.url}/audio/"))
    for source in (f"{bucket.url}/list.csv", str(tmp_path / "list.csv")):
        first, second, missing = list_source(source)
        assert first.uri == f"{bucket.url}/audio/a b+c.wav" and first.metadata == '{"who": "ann"}'
        assert second.uri.endswith("audio/#2?.wav") and not second.refusal
        assert missing.refusal and missing.refusal[0] == "unreadable"
        for entry, hertz in ((first, 200), (second, 300)):
            assert entry.version and entry.size_bytes == len(tone(hertz))
            with open_local(entry) as path:
                assert path.read_bytes() == tone(hertz)
    spoken, piped = list_source(f"{bucket.url}/kaldi/wav.scp")
    assert '"speaker": "ann"' in spoken.metadata and not spoken.refusal
    assert piped.refusal[0] == "unsupported"
    [member] = list_source(f"{bucket.url}/shard.tar")
    assert (member.uri, member.metadata) == ("shard.tar/s1.wav", '{"who": "dan"}')
    lake = tmp_path / "lake"
    assert books(tag(settings(f"{bucket.url}/list.csv", lake))) == (2, 0, 1, 0, 0)
    assert books(tag(settings(f"{bucket.url}/shard.tar", lake))) == (1, 0, 0, 0, 0)
    assert books(tag(settings(f"{bucket.url}/shard.tar", lake))) == (0, 0, 0, 1, 0)


@pytest.fixture
def local_ray(store):
    """After `store`: actors have the environment that Ray is started in."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_actors_read_a_bucket_too(bucket, tmp_path, local_ray):
    for number in range(3):
        bucket.put(f"{number} #.wav", tone(200 + number))
    lake = tmp_path / "lake"
    assert books(tag(settings(bucket.url, lake, executor="ray", workers=1))) == (3, 0, 0, 0, 0)
    assert len(rows(lake, "FROM speech")) == 3


# ---- a store that does not do what it is asked --------------------------------------------------


def test_a_store_that_dies_during_a_run_costs_the_files_it_did_not_give(bucket, store, tmp_path):
    for number in range(6):
        bucket.put(f"{number}.wav", tone(200 + 40 * number))
    lake = tmp_path / "lake"
    store.requests.clear()

    def dies(method: str, path: str) -> tuple[str, str] | None:
        if len(store.downloads) > 2:
            Thread(target=store.stop).start()
            store.fault = lambda method, path: ("503 Slow Down", "SlowDown")
            return ("503 Slow Down", "SlowDown")
        return None

    store.fault = dies
    try:
        report = tag(settings(bucket.url, lake, decode_threads=1))
    finally:
        store.start()
    assert (report.tagged, report.failures) == (2, {"unreachable": 4})
    for failure in rows(lake, "FROM failures"):
        assert "broke off" in failure["error_message"] and "next run" in failure["error_message"]
    store.fault = lambda method, path: None
    store.requests.clear()
    assert books(tag(settings(bucket.url, lake))) == (4, 0, 0, 2, 0)
    assert sorted(store.downloads) == [f"/{bucket.name}/{n}.wav" for n in (2, 3, 4, 5)]


def test_worn_out_credentials_cost_no_file_for_good(bucket, store, tmp_path):
    for number in range(3):
        bucket.put(f"x/{number}.wav", tone(200 + 40 * number))
    expired = ("400 Bad Request", "ExpiredToken")

    def at_reading(method: str, path: str) -> tuple[str, str] | None:
        return expired if path.endswith("1.wav") else None

    store.fault = at_reading
    lake = tmp_path / "lake"
    report = tag(settings(bucket.url, lake))
    assert (report.tagged, report.failures) == (2, {"unreachable": 1})
    [failure] = rows(lake, "FROM failures")
    assert "ExpiredToken" in failure["error_message"]
    # A listing that breaks off in the middle is no smaller archive.
    listed: list[str] = []

    def at_listing(method: str, path: str) -> tuple[str, str] | None:
        listed.append(path)
        return expired if len(listed) > 2 else None

    store.fault = at_listing
    with pytest.raises(ArchiveForbidden, match=r"refuses .*Check the credentials"):
        tag(settings(bucket.url, lake))
    assert "gone" not in states(lake).values()

    # One object that may not be read is that object's failure.
    store.fault = lambda method, path: (
        ("403 Forbidden", "AccessDenied") if path.endswith("1.wav") else None
    )
    assert tag(settings(bucket.url, lake)).failures == {"unreadable": 1}


@pytest.mark.parametrize(
    ("case", "code", "said"),
    [
        ("no bucket", 3, "knows no such bucket"),
        ("no folder", 3, "knows no such bucket, folder or file"),
        ("no name", 3, "names no bucket"),
        ("wrong key", 3, "Check the credentials"),
        ("no credentials", 3, "Check the credentials"),
        ("500 Internal Server Error", 4, "Try again later"),
        ("503 Service Unavailable", 4, "Try again later"),
        ("nobody there", 4, "Try again later"),
    ],
)
def test_what_is_wrong_with_a_store_is_one_sentence_and_an_exit_code(
    bucket, store, tmp_path, monkeypatch, capsys, case, code, said
):
    source = bucket.url
    if case == "no bucket":
        source = "s3://there-is-no-such-bucket/calls"
    elif case == "no folder":
        source = f"{bucket.url}/nothing"
    elif case == "no name":
        source = "s3://"
    elif case == "wrong key":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE0001")
    elif case == "no credentials":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    elif case == "nobody there":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    else:
        store.fault = lambda method, path: (case, "InternalError")
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(sys, "argv", ["clsp", "tag", source, "--lake", str(tmp_path / "lake")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    assert ended.value.code == code
    assert said in told.err and source in told.err and told.err.count("\n") == 1
    assert "Traceback" not in told.err and not told.out
    for secret in (KEY_ID, SECRET, "SOMEBODYELSE", "Signature"):
        assert secret not in told.err
    assert not (tmp_path / "lake").exists()


def test_each_of_these_errors_has_a_class_that_says_whether_to_try_again(bucket, store):
    with pytest.raises(ArchiveNotFound):
        list_archive("s3://there-is-no-such-bucket")
    store.fault = lambda method, path: ("403 Forbidden", "AccessDenied")
    with pytest.raises(ArchiveForbidden):
        list_archive(bucket.url)
    store.fault = lambda method, path: ("503 Slow Down", "SlowDown")
    with pytest.raises(ArchiveUnreachable) as caught:
        list_archive(bucket.url)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
