"""Holds what olivine_pipelines printed, FAMILY.jsonl a chip, against the tables FAMILY.tsv.

    radv_tables.py TABLES RESULTS [--update]

Exit code 1 when a pipeline spills, a hot one has become slower by more than 5 %, the pipelines are not
those of the table, or a shader of the build is compiled for no chip.
"""

import json
import pathlib
import re
import sys

# Column of the tables: RADV's name of the figure.
FIGURES = {
    "vgprs": "VGPRs",
    "sgprs": "SGPRs",
    "spilled_vgprs": "Spilled VGPRs",
    "spilled_sgprs": "Spilled SGPRs",
    "scratch_bytes": "Scratch size",
    "lds_bytes": "LDS size",
    "waves_per_simd": "Subgroups per SIMD",
    "instructions": "Instructions",
    "code_bytes": "Code size",
    "latency": "Latency",
    "inverse_throughput": "Inverse Throughput",
}
KEY = ("shader", "threads", "constants")
COLUMNS = KEY + ("wave",) + tuple(FIGURES)

# None of these may be other than zero: registers or arrays that live in memory.
IN_MEMORY = ("spilled_vgprs", "spilled_sgprs", "scratch_bytes")

# Where the time goes, and what may not get worse there: more is better (+1) or less is (-1).
HOT = re.compile("matvec|matmul|attention")
WATCHED = {"waves_per_simd": +1, "latency": -1, "inverse_throughput": -1}
TOLERANCE = 0.05

# Shaders that no chip here takes, and why.
NOT_COMPILED = {
    "matmul_(direct|straight)_.*": "taken on software drivers only",
    ".*_coopmat2": "RADV has no VK_NV_cooperative_matrix2",
}


def read_results(path):
    """The driver, the build's shaders, and {key: row} of one chip. Rows map columns to texts."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    head, rows = lines[0], {}
    for line in lines[1:]:
        row = {
            "shader": line["shader"],
            "threads": str(line["threads"]),
            "constants": ",".join(map(str, line["constants"])) or "-",
            "wave": str(line["subgroup_size"]),
        }
        for column, name in FIGURES.items():
            if name not in line["values"]:
                sys.exit(f"{path.stem}: the driver gives no figure '{name}'.")
            row[column] = format(line["values"][name], ".0f")
        rows[tuple(row[column] for column in KEY)] = row
    return re.search(r"Mesa [0-9.]+", head["driver"]).group(), head["shaders"], rows


def read_table(path):
    """The driver that a table was made with, and its {key: row}."""
    if not path.exists():
        return None, {}
    driver, _, *lines = path.read_text().splitlines()
    rows = {}
    for line in lines:
        row = dict(zip(COLUMNS, line.split("\t")))
        rows[tuple(row[column] for column in KEY)] = row
    return driver.removeprefix("# "), rows


def write_table(path, driver, rows):
    lines = [f"# {driver}", "\t".join(COLUMNS)]
    lines += ["\t".join(rows[key][column] for column in COLUMNS) for key in sorted(rows)]
    path.write_text("\n".join(lines) + "\n")


def print_table(family, driver, rows):
    print(f"\n{family} ({driver})")
    lines = [COLUMNS] + [tuple(rows[key][column] for column in COLUMNS) for key in sorted(rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        cells = [
            text.ljust(width) if column in KEY else text.rjust(width)
            for text, width, column in zip(line, widths, COLUMNS)
        ]
        print("  ".join(cells).rstrip())


def text_of(key):
    return f"{key[0]} ({key[1]} threads, constants {key[2]})"


def regressions(key, row, before):
    """What has become worse in a hot pipeline, as texts."""
    if not HOT.match(key[0]):
        return
    for column, sign in WATCHED.items():
        new, old = float(row[column]), float(before[column])
        if sign * (new - old) < -TOLERANCE * old:
            yield f"{column} is {new:.0f}, was {old:.0f} ({(new / old - 1) * 100:+.0f} %)"


def main():
    tables, results = map(pathlib.Path, sys.argv[1:3])
    update = sys.argv[3:] == ["--update"]
    faults, compiled, shaders, changed, pipelines = [], set(), [], 0, 0
    for path in sorted(results.glob("*.jsonl")):
        family = path.stem
        driver, shaders, rows = read_results(path)
        print_table(family, driver, rows)
        compiled.update(key[0] for key in rows)
        pipelines += len(rows)
        for key in sorted(rows):
            for column in IN_MEMORY:
                if rows[key][column] != "0":
                    faults.append(f"{family}: {text_of(key)}: {column} is {rows[key][column]}")
        table_path = tables / f"{family}.tsv"
        if update:
            tables.mkdir(exist_ok=True)
            write_table(table_path, driver, rows)
            continue
        table_driver, table = read_table(table_path)
        for key in sorted(rows.keys() - table.keys()):
            faults.append(f"{family}: {text_of(key)} is not in the table")
        for key in sorted(table.keys() - rows.keys()):
            faults.append(f"{family}: {text_of(key)} is in the table, but is no longer made")
        if table and table_driver != driver:
            print(f"{family}: the table is of {table_driver}, so its figures are not compared.")
            continue
        for key in sorted(rows.keys() & table.keys()):
            changed += rows[key] != table[key]
            for text in regressions(key, rows[key], table[key]):
                faults.append(f"{family}: {text_of(key)}: {text}")

    for shader in shaders:
        known = any(re.fullmatch(pattern, shader) for pattern in NOT_COMPILED)
        if known and shader in compiled:
            faults.append(f"{shader} is compiled, but listed as not (tests/matrix/radv_tables.py)")
        if not known and shader not in compiled:
            faults.append(f"{shader} is compiled for no chip (tests/matrix/pipelines.cpp)")
    for pattern in NOT_COMPILED:
        if not any(re.fullmatch(pattern, shader) for shader in shaders):
            faults.append(f"the build has no shader '{pattern}' to leave out")

    print()
    for fault in faults:
        print(f"FAILED {fault}")
    if changed:
        print(f"{changed} pipelines differ from their tables: run with --update to keep that.")
    print(f"{len(compiled)} of {len(shaders)} shaders are compiled.")
    print(f"{max(0, pipelines - len(faults))} passed, {len(faults)} failed, 0 skipped")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
