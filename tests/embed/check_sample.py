"""What the sample's report has to say: check_sample.py REPORT.json"""
import json
import sys

report = json.load(open(sys.argv[1]))
wrong = []


def expect(what, holds):
    if not holds:
        wrong.append(what)


for phase in "loading", "idle", "busy":
    times = report[phase]
    frame, tick = ([times[kind][part] for part in ("p50", "p90", "p99", "max")]
                   for kind in ("frame_ms", "tick_ms"))
    print(f"{phase}: {times['frames']} frames of p50 %.1f, p90 %.1f, p99 %.1f, max %.1f ms; " % tuple(frame) +
          "olv_tick p50 %.2f, p90 %.2f, p99 %.2f, max %.1f ms, " % tuple(tick) +
          f"longest slice {times['longest_slice_ms']:.2f} ms")
    expect(f"{phase}: there are frames", times["frames"] > 0)
    expect(f"{phase}: percentiles ascend", frame == sorted(frame) and tick == sorted(tick) and frame[0] > 0)
idle, busy = report["idle"], report["busy"]
expect("idle: a tick has nothing to do", idle["tick_ms"]["p50"] < 0.5)
expect("busy: ticks keep to the budget and a slice",
       busy["tick_ms"]["p99"] <= report["budget_ms"] + busy["longest_slice_ms"])
for each in report["characters"]:
    print(f"{each['name']}: {each['answered']} of {each['asked']} answered; {each['question']} {each['answer']}")
    expect(f"{each['name']} answers all that it is asked", each["asked"] == each["answered"] > 0)
    expect(f"{each['name']} has words", each["answer"])
expect("tokens are drawn", report["tokens"] > 0 and report["tokens_per_second"] > 0)
expect("memory is counted", report["device_bytes"]["peak"] >= report["device_bytes"]["now"] > 0)
print(f"{report['tokens']} tokens, {report['tokens_per_second']:.1f} a second, "
      f"{report['device_bytes']['peak'] / 2**20:.1f} MiB")
for what in wrong:
    print(f"wrong: {what}")
sys.exit(bool(wrong))
