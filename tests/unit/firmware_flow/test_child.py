"""Workers that hang, crash, babble and linger: an error of ours each time, and no process left."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from firmware.child import Child, Patience, described
from firmware.errors import FirmwareError, HttpStatusError, InstallFailed, ReleaseRefused, TransportError

PATIENT = Patience(60.0, 60.0, network=False)


def _child(code: str) -> Child:
    prelude = "import json, os, sys, time; job = json.loads(sys.stdin.read())\n"
    prelude += "def say(x): print(json.dumps(x), flush=True)\n"
    return Child((sys.executable, "-I", "-S", "-c", prelude + code))


def _run(code: str, patience: Patience = PATIENT, **job: object) -> dict[str, object]:
    return _child(code).run("stage", job, patience, lambda _done, _of: None)


def test_a_job_goes_in_and_progress_and_a_result_come_out() -> None:
    seen: list[tuple[int, int]] = []
    code = (
        "say({'progress': [1, 2]}); say({'progress': ['x', 2]})\n"
        "say({'ok': {'length': len(job['a']), 'parent': job['parent'], 'verb': sys.argv[1]}})"
    )
    found = _child(code).run("fetch", {"a": "ü" * 200_000}, PATIENT, lambda *step: seen.append(step))
    assert found == {"length": 200_000, "parent": os.getpid(), "verb": "fetch"}
    assert seen == [(1, 2)]


@pytest.mark.parametrize(
    "error",
    [
        ReleaseRefused("forged", code="bad_signature"),
        TransportError("no route"),
        TransportError("busy", code="timeout", retry_after_s=7.5),
        HttpStatusError("not found", status=404),
        InstallFailed("full", code="disk_full"),
    ],
)
def test_an_error_comes_back_as_it_was(error: FirmwareError) -> None:
    with pytest.raises(FirmwareError) as caught:
        _run(f"say({described(error)!r})")
    assert (caught.value.code, str(caught.value)) == (error.code, str(error))
    assert isinstance(caught.value, TransportError) == isinstance(error, TransportError)
    assert isinstance(caught.value, ReleaseRefused) == isinstance(error, ReleaseRefused)
    if isinstance(error, TransportError) and isinstance(caught.value, TransportError):
        assert caught.value.retry_after_s == error.retry_after_s


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", "ended with exit code 0"),
        ("sys.exit(3)", "exit code 3"),
        ("raise RuntimeError('first\\nlast words')", "last words"),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("print('rubbish')", "without a result"),
        ("say({'ok': {}}); print('rubbish')", "without a result"),
        ("say([1])", "without a result"),
        ("say({'ok': 1})", "without a result"),
        ("say({'refused': 'no'})", "without a result"),
        ("say({'failed': {'code': 1, 'message': 2}})", "without a result"),
        ("sys.stdout.write('[' * 100000 + '\\n')", "without a result"),
        ("say({'ok': {}}); sys.stdout.write('x' * 3000000); sys.stdout.flush(); time.sleep(60)", "without a result"),
    ],
)
def test_a_worker_that_makes_no_sense_is_a_failed_install(code: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.child.LEAVE_S", 0.2)
    with pytest.raises(InstallFailed) as caught:
        _run(code)
    assert caught.value.code == "worker_failed"
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_worker_that_complains_without_end_does_not_fill_memory() -> None:
    assert _run("sys.stderr.write('x' * 5_000_000); say({'ok': {'a': 1}})") == {"a": 1}


@pytest.mark.parametrize(("network", "kind"), [(True, TransportError), (False, InstallFailed)])
@pytest.mark.parametrize("times", [(0.2, 60.0), (60.0, 0.2)], ids=["total", "silent"])
def test_a_worker_that_hangs_is_killed(network: bool, kind: type[FirmwareError], times: tuple[float, float]) -> None:
    with pytest.raises(kind) as caught:
        _run("time.sleep(600)", Patience(*times, network=network))
    assert caught.value.code == "timeout"


def test_a_worker_that_lingers_after_its_word_is_believed_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.child.LEAVE_S", 0.1)
    found = _run("say({'ok': {'pid': os.getpid()}}); os.close(1); time.sleep(600)")
    assert isinstance(found["pid"], int)
    assert not Path(f"/proc/{found['pid']}").exists()


def test_stop_kills_at_once_and_holds_until_rearmed() -> None:
    child = _child("say({'progress': [1, 2]}); time.sleep(600)")
    stopper = threading.Event()

    def stop() -> None:
        stopper.wait(30)
        child.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(InstallFailed) as caught:
        child.run("fetch", {}, PATIENT, lambda _done, _of: stopper.set())
    thread.join()
    assert caught.value.code == "stopped"
    with pytest.raises(InstallFailed) as caught:
        child.run("fetch", {}, PATIENT, lambda _done, _of: None)
    assert caught.value.code == "stopped"
    child.rearm()
    threading.Timer(0.1, child.stop).start()
    with pytest.raises(InstallFailed):
        child.run("fetch", {}, PATIENT, lambda _done, _of: None)


def test_no_worker_at_all() -> None:
    with pytest.raises(InstallFailed) as caught:
        Child(("/nowhere/python",)).run("fetch", {}, PATIENT, lambda _done, _of: None)
    assert caught.value.code == "worker_failed"


def test_the_worker_dies_with_its_parent(tmp_path: Path) -> None:
    """kill -9 of the daemon while a worker hangs in its transport: nothing may write to our folders any more."""
    script = (
        "import sys, socket, json\n"
        "from firmware.child import Child, Patience\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "url = 'http://127.0.0.1:%d' % listener.getsockname()[1]\n"
        "facts = {'archive': {'name': 'a', 'length': 1, 'sha256': '0' * 64, 'prefix': ''}, 'size_unpacked': 0}\n"
        "job = dict(facts=facts, download=sys.argv[1] + '/d/a', targets_url=url, metadata_url=url, ca=None,\n"
        "           token=None, allow_http=False, reserve_bytes=0, mirrors=[])\n"
        "import threading\n"
        "def told():\n"
        "    connection, _ = listener.accept()\n"
        "    print('here', flush=True)\n"
        "    connection.recv(1); connection.recv(1 << 20)\n"
        "    threading.Event().wait()\n"
        "threading.Thread(target=told, daemon=True).start()\n"
        "Child().run('fetch', job, Patience(600, 600, True), print)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"here\n"
        workers = _children(parent.pid)
        assert len(workers) == 1
        parent.kill()
    deadline = time.monotonic() + 20
    while _runs(workers[0]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(workers[0])


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_whose_parent_is_somebody_else_does_nothing(tmp_path: Path) -> None:
    job = json.dumps({"parent": 1})
    done = subprocess.run(
        [sys.executable, "-m", "firmware.worker", "stage"], input=job, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_a_wrong_verb_is_wrong_usage() -> None:
    command = [sys.executable, "-m", "firmware.worker", "dance"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "verify|fetch|stage" in done.stderr
