"""Doctor looks at everything, and nothing that it finds makes it fail."""

import os
import shutil
import sys
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from harness import doctor

Usage = namedtuple("Usage", "total used free")


def found(what):
    (finding,) = (f for f in doctor.examine() if f.what == what)
    return finding.level, finding.text


def without(monkeypatch, *packages):
    def version(name):
        if name in packages:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)


def test_this_machine_is_ready():
    findings = doctor.examine()

    assert [f for f in findings if f.level == "error"] == []
    assert len({f.what for f in findings}) == len(findings)
    assert found("cores") == ("ok", str(len(os.sched_getaffinity(0))))


def test_the_base_install_is_no_error(monkeypatch):
    without(monkeypatch, *doctor.RUN)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)

    for name in doctor.RUN:
        assert found(name) == ("note", "not installed: pip install 'evalvar[run]'")
    assert found("GPUs") == ("note", "unknown without torch")
    assert found("chromium")[0] == "note"
    assert not any(f.level == "error" for f in doctor.examine())


@pytest.mark.parametrize("name", doctor.BASE)
def test_a_missing_base_package_is_an_error_with_the_way_out(monkeypatch, name):
    without(monkeypatch, name)

    assert found(name) == ("error", "not installed: pip install 'evalvar'")
    assert {f.what for f in doctor.examine() if f.level == "error"} == {name}


def test_chromium_is_found(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")

    assert found("chromium") == ("ok", "/usr/bin/chromium")


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10), "error"), ((3, 12), "ok"), ((3, 14), "error")]
)
def test_only_some_pythons_will_do(monkeypatch, version, level):
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))

    assert found("Python")[0] == level
    assert ("needs 3.11 to 3.13" in found("Python")[1]) == (level == "error")


def fake_torch(*names):
    cuda = SimpleNamespace(
        device_count=lambda: len(names), get_device_name=lambda index: names[index]
    )
    return SimpleNamespace(cuda=cuda)


@pytest.mark.parametrize(
    ("torch", "finding"),
    [
        (fake_torch(), ("note", "none: models run on the cores")),
        (fake_torch("H100", "H100"), ("ok", "2: H100")),
        (fake_torch("L4", "A10"), ("ok", "2: A10, L4")),
    ],
)
def test_gpus_are_counted(monkeypatch, torch, finding):
    monkeypatch.setitem(sys.modules, "torch", torch)

    assert found("GPUs") == finding


@pytest.mark.parametrize("error", ["OSError", "ImportError"])
def test_a_broken_torch_is_told_and_not_raised(monkeypatch, tmp_path, error):
    (tmp_path / "torch.py").write_text(f"raise {error}('libcudart.so.12: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)

    level, text = found("GPUs")
    assert level == "error"
    assert "libcudart.so.12: not found" in text


@pytest.mark.parametrize(("gib", "level"), [(0.5, "error"), (1, "ok"), (80, "ok")])
def test_a_full_disk_is_an_error(monkeypatch, gib, level):
    usage = Usage(0, 0, gib * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)

    assert found("working folder")[0] == found("cache")[0] == level


def test_a_cache_that_is_not_there_yet_is_judged_by_what_is(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not/there/yet"))

    level, text = found("cache")
    assert level == "ok"
    assert text.startswith(f"{tmp_path}/not/there/yet/evalvar: ")
    assert list(tmp_path.iterdir()) == [], "doctor changes nothing"


@pytest.mark.parametrize("place", ["read-only", "loop"])
def test_a_folder_that_cannot_be_written_is_an_error(monkeypatch, tmp_path, place):
    folder = tmp_path / place
    if place == "loop":
        folder.symlink_to(folder)
    else:
        folder.mkdir()
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda p, mode: real(p, mode) and "read-only" not in str(p)
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))

    assert found("cache") == ("error", f"{folder}/evalvar: cannot be written")


def test_a_finding_as_json():
    finding = doctor.Finding(what="numpy", level="ok", text="2.0")

    assert finding.to_dict() == {"what": "numpy", "level": "ok", "text": "2.0"}
