#!/usr/bin/env python3
"""Measures Olivine on this machine's Vulkan device and writes one JSON file.

Each step gets what is left of the time limit; a step that does not fit the device's memory, or the time, is
left out and says why. On a software driver only what ends within minutes is measured, unless --sizes asks.
Exit code: 0 when the self-test passed and every model that fits was measured, else 1.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

SIZES = ("270m", "1b", "4b", "12b", "27b")
TYPES = ("q4_0", "q8_0", "bf16")
DEPTHS = (2048, 32000)  # tokens in the context; the smaller models end at 32768
OUT_OF_MEMORY = 5       # olivine's exit code
REACHABLE = 0.92        # of a device's bandwidth, which matrices of a large model reach on the best of drivers
SIXTEEN = 16


class Session:
    def __init__(self, options):
        self.options = options
        self.end = time.monotonic() + options.minutes * 60
        self.left_out = []

    def run(self, name, program, arguments, device=True):
        """What a step prints, as JSON; None when it is left out."""
        left = self.end - time.monotonic()
        if left < 5:
            return self.leave_out(name, "no time is left")
        command = [str(self.options.bin / program), *arguments]
        if device and self.options.device is not None:
            command += ["--device", str(self.options.device)]
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            return self.leave_out(name, "it took longer than the time that was left")
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return self.leave_out(name, lines[-1], failed=done.returncode != OUT_OF_MEMORY)

    def leave_out(self, name, why, failed=False):
        print(f"{name}: left out: {why}", file=sys.stderr)
        self.left_out.append({"step": name, "why": why, "failed": failed})
        return None


def bench(session, name, arguments):
    return session.run(name, "olivine", ["bench", *arguments, "--json"])


def measure_model(session, size, kind, depth, sequences=1):
    name = f"{size} {kind} at {depth}" + (f", {sequences} sequences" if sequences > 1 else "")
    report = bench(session, name, ["--synthetic", size, "--type", kind, "-p", "512", "-n", "32", "--depth",
                                   str(depth), "--sequences", str(sequences), "--ctx", str(depth + 768)])
    if report is None:
        return None
    decode = report["decode"][0]["tokens_per_s"]
    steps = decode / sequences
    copied = report["copy_gb_per_s"]
    return {
        "size": size, "type": kind, "depth": depth, "sequences": sequences,
        "prefill_tokens_per_s": report["prefill"][0]["tokens_per_s"],
        "decode_tokens_per_s": decode,
        "bytes_per_step": report["bytes_per_token"],
        "share_of_copy_bandwidth": steps * report["bytes_per_token"] * 1e-9 / copied if copied else None,
        "report": report,
    }


def add_predictions(result):
    """A decode step takes its bytes, over what of the bandwidth can be reached, and its dispatches."""
    each = [one["us"] for one in result["operations"] or [] if one["operation"] == "dispatch, one after the other"]
    result["dispatch_us"] = each[0] if each else None
    for one in result["models"] + result["batch"]:
        report = one["report"]
        seconds = report["dispatches_per_token"] * each[0] * 1e-6 if each else 0
        if not each or not report["copy_gb_per_s"]:
            one["share_of_prediction"] = None
            continue
        seconds += one["bytes_per_step"] * 1e-9 / (REACHABLE * report["copy_gb_per_s"])
        one["share_of_prediction"] = one["decode_tokens_per_s"] / one["sequences"] * seconds


def parse():
    parser = argparse.ArgumentParser(prog="tests/gpu/run.sh", description=__doc__.split("\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--minutes", type=float, default=25, help="time limit of all together (default: 25)")
    parser.add_argument("--device", type=int, help="as `olivine devices` numbers them (default: the best)")
    parser.add_argument("--sizes", help=f"of the models, of {','.join(SIZES)} (default: those that fit)")
    parser.add_argument("--out", type=pathlib.Path, help="the file (default: measurement-DEVICE.json here)")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    if options.sizes is not None:
        options.sizes = options.sizes.split(",")
        for size in options.sizes:
            if size not in SIZES:
                parser.error(f"there is no size {size}")
    return options


def chosen_device(session):
    listed = session.run("devices", "olivine", ["devices", "--json"], device=False) or []
    wanted = session.options.device
    for each in listed:
        if each["usable"] and (each["picked"] if wanted is None else each["index"] == wanted):
            return each
    sys.exit("tests/gpu/run.sh: there is no such usable Vulkan device.")


def summary(cases):
    """Counts of the self-test, and the cases that failed."""
    counts = {status: sum(case["status"] == status for case in cases) for status in ("pass", "fail", "skip")}
    return {**counts, "failures": [case for case in cases if case["status"] == "fail"]}


def main():
    options = parse()
    session = Session(options)
    device = chosen_device(session)
    software = device["type"] == "cpu"
    sizes = options.sizes or (SIZES[:1] if software else SIZES)
    depths = DEPTHS[:1] if software else DEPTHS
    result = {"device": device, "models": [], "left_out": session.left_out}

    tested = session.run("selftest", "olivine", ["selftest", "--json", "-"] + (["--quick"] if software else []))
    result["selftest"] = summary(tested) if tested else None
    result["batch"] = [one for one in (measure_model(session, sizes[0], "q8_0", 0, n) for n in (1, SIXTEEN))
                       if one]
    for size in sizes:
        for kind in TYPES:
            for depth in depths:
                one = measure_model(session, size, kind, depth)
                if one:
                    result["models"].append(one)
    if not software:
        result["picture"] = bench(session, "a picture", ["--synthetic", "4b", "--image", "--vision-only"])
    result["operations"] = session.run("operations", "olivine_microbench",
                                       ["--models", ",".join(sizes), "--seconds", "0.2", "--json"])

    add_predictions(result)
    out = options.out or pathlib.Path("measurement-" + "".join(
        c if c.isalnum() else "-" for c in device["name"].lower()).strip("-") + ".json")
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{out} is written.", file=sys.stderr)
    failed = tested is None or result["selftest"]["fail"] > 0 or any(e["failed"] for e in session.left_out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
