"""A key that is made in a PKCS#11 token and never leaves it: SoftHSM 2, through OpenSC and OpenSSL's engine.

Debian: softhsm2, opensc, libengine-pkcs11-openssl; ``.ci/run`` installs them.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.config.load import load
from agent.enrolment.crypto import Crypto
from agent.enrolment.state import State
from agent.enrolment.steps import Enrolling
from firmware.errors import InstallFailed
from tests.unit.enrolment.stage import HOST, TILL, Stage

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
ENGINES = [*Path("/usr/lib").glob("*/engines-3/pkcs11.so")]
PIN = "27182818"
READY = Path(MODULE).exists() and shutil.which("softhsm2-util") and shutil.which("pkcs11-tool") and ENGINES

pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.skipif(not READY, reason="softhsm2, opensc or libengine-pkcs11-openssl is not here (.ci/run installs them)"),
]


class TokenStage(Stage):
    """A host whose keys are made in a token; its workers are real processes."""

    uri: str = ""

    def enrolling(self, host: str = HOST) -> Enrolling:
        return Enrolling(
            self.state,
            host,
            Crypto(self.uri),
            self.clock,
            clock_wrong=lambda: "",
            marks=lambda _salt: ("mark",),
            jitter=lambda value, _share: value,
        )


@pytest.fixture
def stage(tmp_path: Path, service_centers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> TokenStage:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "host").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    (tmp_path / "pin").write_text(PIN)
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    made = ["softhsm2-util", "--init-token", "--free", "--label", "till", "--so-pin", "31415926", "--pin", PIN]
    subprocess.run(made, check=True, capture_output=True, timeout=30)
    stage = TokenStage(tmp_path / "host", service_centers(mutual=True))
    stage.uri = f"pkcs11:token=till?module-path={MODULE}&pin-source=file:{tmp_path}/pin"
    return stage


def objects(kind: str) -> list[str]:
    token = ["--module", MODULE, "--token-label", "till", "--login", "--pin", PIN]
    command = ["pkcs11-tool", *token, "--list-objects", "--type", kind]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    return [line.split()[-1] for line in said.splitlines() if "label:" in line]


POLL = """
import sys
from pathlib import Path
from firmware.errors import TransportError
from firmware.transport import Transport
ca, url, *files = sys.argv[1:]
with Transport(ca=Path(ca), client=lambda: tuple(files)) as transport:
    try:
        print(transport.get_bytes(url, 4096).decode())
    except TransportError as error:
        print(error)
"""


def poll(stage: Stage, number: int) -> str:
    """At the centre's DDI, which asks for a certificate. In a process of its own: a token's library looks for tokens once."""
    words = [str(stage.center.authority.file), f"{stage.center.ddi}/{HOST}", *stage.enrolling().files(number)]
    done = subprocess.run([sys.executable, "-c", POLL, *words], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_a_key_in_a_token_comes_in_opens_the_centre_and_is_renewed(stage: TokenStage) -> None:
    standing = stage.enroll()
    assert standing.state is State.ENROLLED
    assert objects("privkey") == ["posagent-1"]
    named = (stage.state / "key-1.pem").read_text()
    assert named.startswith("pkcs11:token=till;object=posagent-1;")
    assert PIN not in named
    assert not [path for path in stage.state.iterdir() if "PRIVATE KEY" in path.read_text()]
    assert "polling" in poll(stage, 1)

    again = stage.enrolling().renew()
    assert again.certificate is not None
    assert [(t.merchant, t.site, t.till) for t in again.certificate.binding.tills] == [TILL]
    assert "polling" in poll(stage, 2)
    assert objects("privkey") == objects("pubkey") == ["posagent-2"]
    assert not (stage.state / "key-1.pem").exists()


def test_a_key_that_a_power_cut_left_in_the_token_is_taken_up(stage: TokenStage) -> None:
    stage.state.mkdir()
    first = Crypto(stage.uri).request(stage.state / "key-1.pem", HOST, None)
    (stage.state / "key-1.pem").unlink()
    second = Crypto(stage.uri).request(stage.state / "key-1.pem", HOST, None)
    assert first != second  # ECDSA signs with chance
    assert objects("privkey") == ["posagent-1"]
    stage.enroll()
    assert "polling" in poll(stage, 1)


def test_a_token_that_is_gone_or_closed_is_named(stage: TokenStage, tmp_path: Path) -> None:
    stage.enroll()
    (tmp_path / "pin").write_text(PIN + "\n")
    with pytest.raises(InstallFailed) as line_end:
        stage.enrolling().renew()
    assert "printf" in str(line_end.value)
    (tmp_path / "pin").write_text("00000000")
    with pytest.raises(InstallFailed) as caught:
        stage.enrolling().renew()
    assert caught.value.code == "no_key_store"
    assert PIN not in str(caught.value)
    key = stage.state / "key-1.pem"
    key.write_text(key.read_text().replace("object=posagent-1", "object=posagent-9"))
    assert "the key in the token cannot be used" in poll(stage, 1)


def test_the_configuration_names_it(stage: TokenStage, tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(f'[host]\nid = "{HOST}"\n[enrolment]\nkey = "{stage.uri}"\n')
    found = load(path).enrolment
    assert found is not None
    assert found.key == stage.uri
    assert replace(found, key="file").key == "file"
