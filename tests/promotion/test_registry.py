"""A registry is a closed list; what it names is fetched, held against the list, proved and kept, or nothing is."""

import hashlib
import json
import os
import shutil
import threading
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cervix.cli import main
from cervix.errors import BundleError, Cancelled, DownloadFailed, RegistryRefused
from cervix.labels import open_store
from cervix.promotion.adding import add_listed, arrived_bytes, labels_there
from cervix.promotion.leftovers import ARRIVING, ARRIVING_AT_MOST_S, ON_ITS_WAY, UNPACKING_AT_MOST_S, clear_leftovers
from cervix.promotion.registry import Listed, is_address, read_registry
from cervix.settings import Settings
from tests import file_server

NAME, VERSION = "made-for-tests", "0.1.0"


def entry(archive: file_server.Archive, **other: Any) -> dict[str, Any]:
    content = archive.contents["bundle.zip"]
    return {
        "name": NAME, "version": VERSION, "url": f"{archive.address}/data/bundle.zip", "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(), "summary": "Two models of risk factors.", "licence": "MIT",
    } | other  # fmt: skip


def write_list(settings: Settings, *entries: dict[str, Any]) -> None:
    Path(settings.bundle_registry).write_text(json.dumps({"bundles": list(entries)}), encoding="utf-8")


def left(settings: Settings) -> list[str]:
    """What lies among the bundles, but the locks of who adds one."""
    return sorted(path.name for path in settings.bundles_dir.rglob("*.*") if path.suffix in (".zip", ".part", ".onnx"))


def test_a_bundle_is_listed_added_by_name_kept_once_and_entered_in_the_audit_trail(
    settings: Settings, archive: file_server.Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    write_list(settings, entry(archive))
    assert main(["bundle", "registry"]) == 0
    assert f"{NAME}@{VERSION}  0.0 MB  MIT\n  Two models of risk factors." in capsys.readouterr().out
    archive.plan("bundle.zip", file_server.cut_after(1000))
    assert main(["bundle", "add", f"{NAME}@{VERSION}", "--by", "Ada"]) == 0
    assert archive.ranges("bundle.zip") == ["", "bytes=1000-"], "it went on where the connection broke"
    assert labels_there(settings) == {(NAME, VERSION)}
    (folder,) = [path for path in settings.bundles_dir.iterdir() if not path.name.startswith(".")]
    assert not (folder / "notes.txt").exists(), "nobody ever reads it"
    assert not list((settings.bundles_dir / ARRIVING).glob("*.zip*")), "the zip is not kept"
    with open_store(settings.label_store_url) as store:
        events = store.audit_trail()
    assert events[["who", "what"]].to_numpy().tolist() == [["Ada", "add bundle"]]
    main(["bundle", "registry"])
    assert "; on this server" in capsys.readouterr().out
    assert add_listed(Listed(**entry(archive)), settings) == folder


@pytest.mark.parametrize(
    ("plan", "changed", "sentence"),
    [
        (None, {"sha256": "0" * 64}, "does not arrive as it was deposited"),
        ([file_server.wrong_bytes] * 2, {}, "does not arrive as it was deposited"),
        ([file_server.status(404)], {}, "found status 404"),
        ([file_server.status(302, Location="http://127.0.0.1:9/other.zip")], {}, "leads to another server"),
        ([file_server.unannounced(9_000_000)] * 6, {}, "more came than"),
        (None, {"bytes": 10}, "did not deliver"),
        (None, {"version": "9.9.9"}, f"expected {NAME} 9.9.9; found {NAME} {VERSION}"),
        (None, {"bytes": 2 << 30}, "No room for"),
    ],
)
def test_what_is_not_as_the_list_says_is_not_kept(
    plan: list[file_server.Answer] | None,
    changed: dict[str, Any],
    sentence: str,
    settings: Settings,
    archive: file_server.Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sentence == "No room for":
        monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10 << 30, 7 << 30, 3 << 30))
    archive.plan("bundle.zip", *(plan or ()))
    with pytest.raises((DownloadFailed, BundleError), match=sentence):
        add_listed(Listed(**entry(archive, **changed)), settings)
    assert labels_there(settings) == set()
    assert [name for name in left(settings) if not name.endswith(".part")] == []


def test_a_stopped_download_goes_on_the_next_time(settings: Settings, archive: file_server.Archive) -> None:
    listed, cancel = Listed(**entry(archive)), Event()
    archive.plan("bundle.zip", file_server.dripping(5000, 0.05, step=500))
    with pytest.raises(Cancelled):
        add_listed(listed, settings, arriving=lambda step: step.done_bytes > 5000 and cancel.set(), cancel=cancel)
    assert arrived_bytes(listed, settings) >= 5000
    add_listed(listed, settings)
    assert archive.ranges("bundle.zip")[-1].startswith("bytes=")
    assert arrived_bytes(listed, settings) == 0


def test_two_who_add_the_same_at_once_do_not_get_in_each_others_way(settings: Settings, archive: file_server.Archive) -> None:
    listed, begun, go = Listed(**entry(archive)), Event(), Event()

    def wait(_: object) -> None:
        begun.set()
        go.wait(20)

    first = threading.Thread(target=add_listed, args=(listed, settings), kwargs={"arriving": wait})
    first.start()
    begun.wait(20)
    try:
        with pytest.raises(RegistryRefused, match="Somebody else adds made-for-tests 0.1.0 at this moment"):
            add_listed(listed, settings)
    finally:
        go.set()
        first.join()
    assert labels_there(settings) == {(NAME, VERSION)}


def test_a_disk_that_fills_up_is_one_sentence(
    settings: Settings, archive: file_server.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cervix.sources.downloads.Downloader.fetch", full)
    with pytest.raises(BundleError, match="cannot be kept on this server: found No space left on device"):
        add_listed(Listed(**entry(archive)), settings)


def test_an_address_holds_the_list_as_well_and_offline_nobody_is_asked(
    settings: Settings, archive: file_server.Archive
) -> None:
    remote = settings.model_copy(update={"bundle_registry": f"{archive.address}/data/registry.json"})
    other = hashlib.sha256(b"another zip").hexdigest()
    archive.contents["registry.json"] = json.dumps(
        {"bundles": [entry(archive), entry(archive, version="0.2.0", sha256=other)]}
    ).encode("utf-8-sig")
    registry = read_registry(remote)
    assert (registry.find(NAME).version, registry.find(f"{NAME}@{VERSION}").version) == ("0.2.0", VERSION)
    with pytest.raises(RegistryRefused, match="lists no such bundle: expected made-for-tests@0.1.0, made-for-tests@0.2.0"):
        registry.find(f"{NAME}@7")
    asked = len(archive.requests)
    for call in (read_registry, lambda offline: add_listed(registry.bundles[0], offline)):
        with pytest.raises(DownloadFailed, match="CERVIX_OFFLINE"):
            call(remote.model_copy(update={"offline": True}))
    assert len(archive.requests) == asked


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"url": "http://example.org/a.zip"}, "url: expected an address with https"),
        ({"url": "https://ada:secret@example.org/a.zip"}, "url: expected an address with https"),
        ({"url": "file:///etc/passwd"}, "url: expected an address with https"),
        ({"bytes": 3 << 30}, "less than or equal to 2147483648"),
        ({"bytes": 0}, "greater than 0"),
        ({"sha256": "abc"}, "sha256"),
        ({"version": "../../x"}, "version"),
        ({"summary": "two\nlines"}, "summary"),
        ({"name": "risk\u202egpj.exe"}, "name"),
        ({"run": "rm -rf"}, "run"),
        ({"\x1b[2J" * 100: ""}, "bundles.1.\\x1b[2J"),
        ({"licence": ""}, "licence"),
    ],
)
def test_a_list_that_is_not_as_it_should_be_is_refused_whole_and_no_secret_of_it_is_repeated(
    changed: dict[str, Any], place: str, settings: Settings, archive: file_server.Archive
) -> None:
    write_list(settings, entry(archive), entry(archive, **({"version": "2.0.0"} | changed)))
    with pytest.raises(RegistryRefused, match="no list of bundles at") as refused:
        read_registry(settings)
    assert place in str(refused.value)
    assert "secret" not in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_a_registry_says_what_is_wrong_with_where_it_lies(settings: Settings, archive: file_server.Archive) -> None:
    def refusal(where: str) -> str:
        with pytest.raises(RegistryRefused) as refused:
            read_registry(settings.model_copy(update={"bundle_registry": where}))
        return str(refused.value)

    assert "No registry is named" in refusal("")
    assert "found No such file or directory" in refusal("/nowhere/list.json")
    assert "no address that is asked" in refusal("http://registry.example/list.json")
    assert "no address that is asked" in refusal("https://ada:secret@registry.example/list.json")
    write_list(settings, entry(archive), entry(archive))
    assert "listed twice by one name and version" in refusal(settings.bundle_registry)
    write_list(settings, entry(archive), entry(archive, version="0.2.0"))
    assert "one zip is listed as two bundles" in refusal(settings.bundle_registry)
    assert "The registry cannot be read" in refusal("~nobody-of-this-name/list.json")
    Path(settings.bundle_registry).write_bytes(b"[" * 100_000)
    assert "no list of bundles" in refusal(settings.bundle_registry)
    Path(settings.bundle_registry).write_bytes(b" " * (2 << 20))
    assert "too long" in refusal(settings.bundle_registry)


def test_a_list_from_elsewhere_cannot_make_this_server_ask_itself(
    settings: Settings, archive: file_server.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(url: str, where: str) -> list[Listed]:
        content = json.dumps({"bundles": [entry(archive, url=url)]}).encode()
        monkeypatch.setattr("cervix.promotion.registry._asked", lambda *_: content)
        return list(read_registry(settings.model_copy(update={"bundle_registry": where})).bundles)

    elsewhere = "https://registry.example/list.json"
    for url, what in (
        (entry(archive)["url"], "this computer"), ("https://localhost./x", "this computer"),
        ("https://169.254.169.254/latest", "a private network"), ("https://10.1/x", "a private network"),
        ("https://0x7f000001/x", "a private network"), ("https://[::ffff:10.0.0.1]/x", "a private network"),
    ):  # fmt: skip
        with pytest.raises(RegistryRefused, match=f"names an address of {what}, and comes from another one"):
            read(url, elsewhere)
    assert read("https://10.0.0.7/x.zip", "https://10.0.0.5/list.json")
    assert read("https://192.0.43.8/x.zip", elsewhere)
    assert not archive.requests


def test_a_name_with_an_at_sign_is_found_as_it_is_listed(settings: Settings, archive: file_server.Archive) -> None:
    write_list(settings, entry(archive, name="ward@night"))
    for asked in ("ward@night", f"ward@night@{VERSION}"):
        assert read_registry(settings).find(asked).name == "ward@night"


def test_what_a_killed_process_left_goes_with_the_next_and_what_is_under_way_stays(settings: Settings) -> None:
    arriving = settings.bundles_dir / ARRIVING
    made = {}
    for name, age_s in (("old", 1.0), ("young", -60.0)):
        made[name] = [settings.bundles_dir / f"{ON_ITS_WAY}{name}", arriving / f"{name}.zip", arriving / f"{name}.zip.part"]
        (made[name][0] / "members").mkdir(parents=True)
        arriving.mkdir(exist_ok=True)
        for path, most_s in zip(made[name], (UNPACKING_AT_MOST_S, ARRIVING_AT_MOST_S, ARRIVING_AT_MOST_S), strict=True):
            path.touch()
            then = time.time() - most_s - age_s
            os.utime(path, (then, then))
    clear_leftovers(settings.bundles_dir)
    assert not any(path.exists() for path in made["old"])
    assert all(path.exists() for path in made["young"])


def test_what_an_address_is() -> None:
    assert all(
        map(is_address, ("https://example.org/a?b=c", "http://127.0.0.1:8000/x", "http://[::1]/x", "http://localhost/x"))
    )
    wrong = (
        "ftp://example.org/x",
        "https://",
        "https://a:b@example.org",
        "https://example.org/#x",
        "https://a:99999/",
        "//x",
        "",
    )
    assert not any(map(is_address, wrong))
