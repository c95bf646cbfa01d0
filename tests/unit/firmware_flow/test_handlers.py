"""The A/B folders of a till application, and how handlers are found."""

from pathlib import Path

import pytest

from firmware.errors import InstallFailed, ReleaseRefused
from firmware.handlers import Handler, names, open_handler, safe_name


@pytest.fixture
def slots(tmp_path: Path) -> Handler:
    handler = open_handler("app_slots", tmp_path / "releases" / "till-app")
    for version in ("1.0", "1.1"):
        handler.release(version).mkdir()
    return handler


def test_handlers_are_found_by_their_file() -> None:
    assert "app_slots" in names()


@pytest.mark.parametrize("name", ["nope", "../flow", "app_slots.x", ""])
def test_an_unknown_handler_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InstallFailed) as caught:
        open_handler(name, tmp_path)
    assert caught.value.code == "no_handler"


def test_switching_is_a_relative_link(slots: Handler, tmp_path: Path) -> None:
    assert slots.current() is None
    slots.switch("1.0")
    slots.switch("1.1")
    slots.switch("1.1")
    pointer = tmp_path / "releases" / "till-app" / "current"
    assert str(pointer.readlink()) == "1.1"
    assert slots.current() == "1.1"
    slots.switch(None)
    slots.switch(None)
    assert slots.current() is None


@pytest.mark.parametrize("version", ["2.0", "1.0-link"])
def test_only_a_folder_that_is_there_is_switched_to(version: str, slots: Handler) -> None:
    slots.release("1.0-link").symlink_to("1.0")
    slots.switch("1.0")
    with pytest.raises(InstallFailed) as caught:
        slots.switch(version)
    assert caught.value.code == "not_staged"
    assert slots.current() == "1.0"


def test_what_a_kill_left_does_not_hinder(slots: Handler) -> None:
    fresh = slots.release("1.0").with_name(".current.new")
    fresh.symlink_to("/etc")
    slots.switch("1.0")
    assert slots.current() == "1.0"
    assert not fresh.is_symlink()


@pytest.mark.parametrize("target", ["/etc", "../other", "a/b", "..", "."])
def test_a_pointer_that_leads_elsewhere_is_damage(target: str, slots: Handler) -> None:
    slots.release("1.0").with_name("current").symlink_to(target)
    with pytest.raises(InstallFailed) as caught:
        slots.current()
    assert caught.value.code == "pointer_damaged"


def test_a_pointer_that_is_no_link_is_damage(slots: Handler) -> None:
    slots.release("1.0").with_name("current").mkdir()
    for act in (slots.current, lambda: slots.switch("1.0")):
        with pytest.raises(InstallFailed):
            act()


def test_pruning_keeps_the_way_back_and_what_runs(slots: Handler, tmp_path: Path) -> None:
    folder = tmp_path / "releases" / "till-app"
    for version in ("0.8", "0.9", ".staging", ".gone-0.7"):
        (folder / version / "deep").mkdir(parents=True)
        (folder / version / "deep" / "file").write_text("x")
    (folder / ".stray").write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    (folder / "planted").symlink_to(outside)
    slots.switch("1.1")
    slots.prune({"1.0"})
    slots.prune({"1.0"})
    assert sorted(path.name for path in folder.iterdir()) == ["1.0", "1.1", "current"]
    assert (outside / "file").exists()


def test_disk_errors_are_ours(slots: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    slots.switch("1.0")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InstallFailed) as caught:
        slots.switch("1.1")
    assert caught.value.code == "disk_full"
    assert slots.current() == "1.0"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a..b", ".a", "current", "a\n", "ä", "x" * 129, "-a", "a."])
def test_names_that_cannot_be_folders(name: str) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        safe_name(name)
    assert caught.value.code == "bad_name"


@pytest.mark.parametrize("name", ["1.10", "2.0-rc1", "2.0+hotfix1", "till-app", "a_b"])
def test_names_that_can(name: str) -> None:
    assert safe_name(name) == name
