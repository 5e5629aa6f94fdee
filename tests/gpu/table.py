#!/usr/bin/env python3
"""Prints the tables of docs/measurements/README.md from the JSON files beside it.

    tests/gpu/table.py            the tables
    tests/gpu/table.py --update   writes them between the marks in the page
    tests/gpu/table.py --check    exit code 1 when the page has others
"""
import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "docs" / "measurements"
PAGE = FOLDER / "README.md"
MARKS = ("<!-- tables -->\n", "<!-- end of tables -->\n")


def rows(path):
    data = json.loads(path.read_text())
    for one in data["models"] + data["batch"]:
        shares = ("-" if one[key] is None else f"{one[key]:.0%}"
                  for key in ("share_of_copy_bandwidth", "share_of_prediction"))
        yield (one["size"], one["type"], one["depth"], one["sequences"], f"{one['prefill_tokens_per_s']:.1f}",
               f"{one['decode_tokens_per_s']:.1f}", *shares)


def table(path):
    data = json.loads(path.read_text())
    device, tested = data["device"], data["selftest"]
    lines = [f"### {device['name']}, {device['driver']}", "",
             f"[{path.name}]({path.name}). Self-test: {tested['pass']} passed, {tested['fail']} failed, "
             f"{tested['skip']} skipped. Copies: {data['batch'][0]['report']['copy_gb_per_s']:.0f} GB/s. A dispatch behind "
             f"another: {data['dispatch_us']:.1f} us.", "",
             "| model | weights | depth | sequences | prompt of 512, tokens/s | decode, tokens/s | of the copy's GB/s "
             "| of the prediction |",
             "|---|---|---:|---:|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows(path)]
    return "\n".join(lines) + "\n"


def main():
    text = "\n".join(table(path) for path in sorted(FOLDER.glob("*.json")))
    if len(sys.argv) == 1:
        print(text, end="")
        return 0
    page = PAGE.read_text()
    before, rest = page.split(MARKS[0])
    old, after = rest.split(MARKS[1])
    if sys.argv[1] == "--check":
        return 0 if old == text else 1
    PAGE.write_text(before + MARKS[0] + text + MARKS[1] + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
