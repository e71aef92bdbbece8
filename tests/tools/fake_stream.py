"""Makes serial streams as PageLab prints them, whole or with a defect of one's choice."""

import zlib

TIMINGS = ("scenario,params,metric,unit,cpus,n,min,p50,p90,p99,p999,max,mean,stddev,overhead,exact")
META_KEYS = (
    "pagelab_version git_commit run_id seed boot_params cpu_vendor cpu_model cpu_count cpus_up "
    "tsc_hz tsc_source tsc_invariant hypervisor memory_total memory_usable paging_levels features "
    "firmware_vendor firmware_revision uefi_revision serial framebuffer check exact_mode compiler "
    "microcode topology board").split()
FIRMWARE = b"\x1b[2J\x1b[01;01HBdsDxe: starting Boot0001 \"PageLab\"\r\nopen line"
LINE_END = b"\r\n"


def meta_rows() -> list[str]:
    values = {"boot_params": '"run=all on-exit=qemu, ""quoted"""', "tsc_hz": "1000000000"}
    return [f"{key},{values.get(key, '1')}" for key in META_KEYS]


def timing_row(scenario: str, params: str, metric: str, p50: int = 100) -> str:
    return f"{scenario},{params},{metric},tick,1,32,90,{p50},120,130,140,150,101.5,3.25,12,1"


class Stream:
    """Builds up a stream; every method adds to it."""

    def __init__(self) -> None:
        self.data = FIRMWARE + LINE_END
        self.block_number = 0

    def line(self, text: str) -> "Stream":
        self.data += text.encode() + LINE_END
        return self

    def block(self, kind: str, header: str, rows: list[str], rows_said: int | None = None
              ) -> "Stream":
        self.block_number += 1
        text = "".join(f"{line}\n" for line in [header, *rows])
        self.line(f"@pagelab begin {kind} block={self.block_number}")
        self.data += text.replace("\n", "\r\n").encode()
        said = len(rows) if rows_said is None else rows_said
        return self.line(f"@pagelab end {kind} block={self.block_number} rows={said} "
                         f"crc32={zlib.crc32(text.encode()):08x}")

    def meta(self) -> "Stream":
        return self.block("meta", "key,value", meta_rows())

    def timings(self, scenario: str, params: str, *metrics: str) -> "Stream":
        return self.block("timings", TIMINGS, [timing_row(scenario, params, m) for m in metrics])

    def counters(self, scenario: str, params: str) -> "Stream":
        return self.block("counters", "scenario,params,counter,value",
                          [f"{scenario},{params},fault.total,32"])

    def null(self, number: int) -> "Stream":
        return self.timings("null", "", "harness.empty").line(f"ok {number} null")

    def fork_cow(self, number: int) -> "Stream":
        self.line("  KTAP version 1").line("  1..2")
        for index, pages in enumerate((256, 4096), 1):
            params = f"pages={pages}"
            self.timings("fork-cow", params, "fork.latency", "cow.copy")
            self.counters("fork-cow", params).line(f"  ok {index} {params}")
        return self.line(f"ok {number} fork-cow")

    def begin(self, plan: int) -> "Stream":
        self.line("[0.000120] PageLab").meta()
        return self.line("KTAP version 1").line(f"1..{plan}")

    def done(self, passed: int, failed: int = 0, skipped: int = 0, status: int = 0) -> "Stream":
        return self.line(f"@pagelab done passed={passed} failed={failed} skipped={skipped} "
                         f"status={status}")

    def whole(self) -> bytes:
        """A run of three scenarios: one passes, one sweeps, one is skipped. Seven blocks."""
        self.begin(3).null(1).fork_cow(2)
        self.line("ok 3 fault-file # SKIP needs disk")
        return self.done(2, 0, 1).data
