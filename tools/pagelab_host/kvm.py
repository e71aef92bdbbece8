"""Does KVM really boot here? A /dev/kvm that opens proves little: nested or filtered ones fail or
hang as soon as a guest runs. So a firmware is started under it once, and the answer is remembered
until the host boots again."""

import hashlib
import json
import os
import select
import subprocess
from pathlib import Path

PROBE_SECONDS = 15


def _cache_file() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pagelab" / "kvm.json"


def _machine_key(arguments: list[str]) -> str:
    """Changes with the host's boot, its kernel and what is asked."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        boot = ""
    facts = [boot, os.uname().release, str(os.getuid()), *arguments]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _read_cache(key: str) -> bool | None:
    try:
        known = json.loads(_cache_file().read_text())
        return known["works"] if known["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_cache(key: str, works: bool) -> None:
    try:
        _cache_file().parent.mkdir(parents=True, exist_ok=True)
        _cache_file().write_text(json.dumps({"key": key, "works": works}))
    except OSError:
        pass  # the next run probes again


def _boots(arguments: list[str]) -> bool:
    """True if the firmware under KVM says anything on the serial port in time."""
    qemu = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, start_new_session=True)
    assert qemu.stdout is not None
    try:
        ready, _, _ = select.select([qemu.stdout], [], [], PROBE_SECONDS)
        return bool(ready and os.read(qemu.stdout.fileno(), 1))
    finally:
        qemu.kill()
        qemu.wait()
        qemu.stdout.close()


def works(qemu: str, firmware_arguments: list[str]) -> bool:
    """Boots the firmware under KVM, or knows from the last time."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    arguments = [qemu, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35",
                 "-accel", "kvm", "-cpu", "max", "-m", "256M", "-smp", "2", "-serial", "stdio",
                 *firmware_arguments]
    key = _machine_key(arguments)
    known = _read_cache(key)
    if known is not None:
        return known
    answer = _boots(arguments)
    _write_cache(key, answer)
    return answer
