"""A model comes from a path, the cache or the hub: the real ModelScope client against a local server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractor.chatglm3 import checkpoint_files, load_model
from extractor.chatglm3 import hub as hubs
from extractor.chatglm3.download import Backoff
from extractor.chatglm3.hub import ModelLocation, resolve
from extractor.chatglm3.registry import KNOWN_MODELS
from extractor.errors import CheckpointError, DownloadError, ModelError
from tests.chatglm3.conftest import REFERENCE
from tests.chatglm3.hub_server import Hub, folder_as_files, serving

AT_ONCE = Backoff(delays=(0.0, 0.0))
NEVER = Backoff(delays=())
SHARD = "pytorch_model-00001-of-00003.bin"
EXTRAS = {"README.md": b"# no", "modeling_chatglm.py": b"raise SystemExit", "pytorch_model.bin.md5": b"no"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and home, and a client that does not wait between its own attempts."""
    from modelscope_hub import _download, _legacy_api

    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(_download, "DOWNLOAD_INTEGRITY_RETRY_BACKOFF", 0.0)
    monkeypatch.setattr(_download, "DOWNLOAD_RETRY_TIMES", 1)
    monkeypatch.setattr(_legacy_api, "REPO_TREE_PAGE_MAX_ATTEMPTS", 1)
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The sharded tiny checkpoint as `chatglm3-6b`, among files that nobody needs."""
    hub = Hub({**folder_as_files(REFERENCE / "chatglm3-tiny"), **EXTRAS})
    with serving(hub) as address:
        point_client_to(address, monkeypatch)
        yield hub


def point_client_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client reads its environment once a process; a test makes it read again."""
    from modelscope_hub import HubConfig, set_default_config

    monkeypatch.setenv("MODELSCOPE_ENDPOINT", address)
    set_default_config(HubConfig())


def pull(backoff: Backoff = AT_ONCE, revision: str | None = None) -> ModelLocation:
    return resolve("chatglm3-6b", revision=revision, progress=False, backoff=backoff)


def test_a_download_brings_the_needed_files_only_and_they_load(hub: Hub, cache: Path) -> None:
    location = pull()
    assert (location.name, location.revision) == ("chatglm3-6b", "v1.0.0")
    assert cache in location.path.parents
    names = {file.name for file in location.path.iterdir()}
    assert names == {*hub.files} - {*EXTRAS, "reference.json", "reference_logits.npz"}
    assert all((location.path / name).read_bytes() == hub.files[name] for name in names)
    assert load_model(location.path, "float32", "cpu").config.num_hidden_layers == 3


def test_a_cached_model_causes_no_request(hub: Hub) -> None:
    first = pull()
    hub.requests.clear()
    assert pull() == first
    assert resolve("chatglm3-6b", offline=True) == first
    assert hub.requests == []


def test_pull_verifies_the_files_and_replaces_a_damaged_one(hub: Hub) -> None:
    shard = pull().path / SHARD
    shard.write_bytes(b"x" * shard.stat().st_size)
    hub.requests.clear()
    hubs.pull(KNOWN_MODELS["chatglm3-6b"], progress=False, backoff=AT_ONCE)
    assert shard.read_bytes() == hub.files[SHARD]
    assert {request.file for request in hub.requests if request.file in hub.files} == {SHARD}


def test_a_connection_that_breaks_in_mid_file_is_resumed_where_it_broke(hub: Hub) -> None:
    hub.break_after[SHARD] = [50_000]
    location = pull()
    assert (location.path / SHARD).read_bytes() == hub.files[SHARD]
    assert hub.ranges_of(SHARD) == [None, "bytes=50000-"]


def test_a_broken_download_is_resumed_by_the_next_run(hub: Hub) -> None:
    hub.break_after[SHARD] = [50_000, 10_000]
    with pytest.raises(DownloadError, match="resumes where it stopped"):
        pull(NEVER)
    assert pull(NEVER).revision == "v1.0.0"
    assert hub.ranges_of(SHARD) == [None, "bytes=50000-", "bytes=60000-"]


def test_a_broken_download_is_resumed_by_our_own_retry(hub: Hub) -> None:
    hub.break_after[SHARD] = [50_000, 10_000]
    pull(AT_ONCE)
    assert hub.ranges_of(SHARD) == [None, "bytes=50000-", "bytes=60000-"]


@pytest.mark.parametrize("file", ["listing", "config.json", SHARD])
def test_a_server_error_is_retried(hub: Hub, file: str) -> None:
    hub.status[file] = [500, 503]
    assert pull().revision == "v1.0.0"
    assert len(hub.ranges_of(file)) >= 3


def test_a_server_that_never_recovers_is_one_line_with_the_three_ways(hub: Hub) -> None:
    hub.status["listing"] = [500] * 50
    with pytest.raises(DownloadError, match=r"^ZhipuAI/chatglm3-6b.*\(1\) .*pull.*\(2\) .*-m FOLDER.*\(3\) .*demo$"):
        pull()


def test_a_wrong_checksum_is_refused_and_leaves_no_file(hub: Hub, cache: Path) -> None:
    hub.wrong_checksum = frozenset({SHARD})
    with pytest.raises(DownloadError, match=f"{SHARD} arrived with a wrong checksum"):
        pull()
    assert list(cache.rglob(SHARD)) == []
    assert hubs.find_cached(KNOWN_MODELS["chatglm3-6b"]) is None


def test_an_unknown_revision_is_not_retried(hub: Hub) -> None:
    with pytest.raises(DownloadError, match="revision v9 does not exist on the hub: check --revision"):
        pull(revision="v9")
    assert len(hub.ranges_of("listing")) == 1


def test_another_revision_has_its_own_place(hub: Hub) -> None:
    first = pull()
    hub.revision = "v2"
    second = pull(revision="v2")
    assert (second.revision, second.path) == ("v2", first.path.parent / "v2")
    assert second.identity == first.identity


def test_a_repository_without_weights_is_refused(hub: Hub) -> None:
    hub.files = {name: data for name, data in hub.files.items() if not name.startswith("pytorch_model")}
    with pytest.raises(DownloadError, match="lacks files of a checkpoint"):
        pull()


def test_a_disk_too_small_is_an_error_before_the_first_byte(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(DownloadError, match="free space or set MODELSCOPE_CACHE"):
        pull()
    assert {request.file for request in hub.requests} == {"listing"}


def test_no_server_at_all_is_a_download_error(monkeypatch: pytest.MonkeyPatch) -> None:
    point_client_to("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(DownloadError, match="check the connection"):
        pull(NEVER)


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_offline_without_a_cache_names_the_three_ways_and_makes_no_request(hub: Hub, name: str) -> None:
    with pytest.raises(DownloadError, match=r"--offline forbids.*\(1\).*\(2\).*\(3\)"):
        resolve(name, offline=True)
    assert hub.requests == []


def test_an_incomplete_cache_is_not_used_offline(hub: Hub) -> None:
    (pull().path / SHARD).unlink()
    with pytest.raises(DownloadError, match="--offline forbids"):
        resolve("chatglm3-6b", offline=True)


@pytest.mark.parametrize("place", ["models", "hub/models", "hub", ""])
def test_the_folder_of_an_older_client_is_used(cache: Path, place: str) -> None:
    folder = shutil.copytree(REFERENCE / "chatglm3-tiny", cache / place / "ZhipuAI" / "chatglm3-6b")
    assert resolve("chatglm3-6b", offline=True).path == folder
    with pytest.raises(DownloadError):
        resolve("chatglm3-6b", revision="v9", offline=True)


def test_a_folder_is_used_as_it_is_and_its_identity_depends_on_content_alone(tmp_path: Path) -> None:
    location = resolve(REFERENCE / "chatglm3-tiny")
    copy = shutil.copytree(REFERENCE / "chatglm3-tiny", tmp_path / "copy")
    assert (location.name, location.revision) == ("chatglm3-tiny", "")
    assert resolve(copy).identity == location.identity
    (copy / SHARD).write_bytes(b"changed")
    assert resolve(str(copy)).identity != location.identity


def test_a_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    copy = shutil.copytree(REFERENCE / "chatglm3-tiny", tmp_path / "copy")
    (copy / "tokenizer.model").unlink()
    with pytest.raises(CheckpointError, match=r"copy/tokenizer\.model is missing"):
        resolve(copy)


def test_a_name_that_is_neither_known_nor_a_folder_lists_both() -> None:
    with pytest.raises(ModelError, match=r"neither a folder nor one of demo, chatglm3-6b, .*three ways|Three ways"):
        resolve("chatglm4")


def test_one_format_of_weights_is_chosen() -> None:
    both = ["a/config.json", "config.json", "tokenizer.model", "model-1.safetensors", "model.safetensors.index.json"]
    both += ["pytorch_model-1.bin", "pytorch_model.bin.index.json", "training_args.bin", "README.md"]
    safe = ("config.json", "model-1.safetensors", "model.safetensors.index.json", "tokenizer.model")
    assert checkpoint_files.needed_names(both) == safe
    plain = [name for name in both if "safetensors" not in name]
    kept = ("config.json", "pytorch_model-1.bin", "pytorch_model.bin.index.json", "tokenizer.model")
    assert checkpoint_files.needed_names(plain) == kept
