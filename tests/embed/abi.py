"""What programs have compiled in of olivine.h: abi.py HEADER

Prints sizes of structs, their fields with offsets, values of enumerators, callbacks and functions, as a C
compiler of a 64-bit system sees them. tests/embed/abi.txt is the list that holds; tests/matrix/embed.sh
compares. A new list is stored by

    python3 tests/embed/abi.py app/embed/olivine.h >tests/embed/abi.txt

which is right when its diff only adds lines (and changes sizes and OLV_VERSION): functions, enumerators with
new values, fields at the end of a struct. Such a field begins where the struct ended before, not in its padding,
which older programs do not set. Anything else breaks programs, and takes a new major version.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

header = pathlib.Path(sys.argv[1]).resolve()
text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.S)
text = re.sub(r"^#.*?(?<!\\)$", "", text, flags=re.S | re.M)
# C's spaces do not matter.
text = re.sub(r"\s+", " ", text)
text = re.sub(r" ?([(),*{}]) ?", r"\1", text).replace("*", "* ").replace(",", ", ").replace("* *", "**")


def fields(body):
    """(type, name) of each; the type of an array or a callback is all but the name."""
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        if callback := re.fullmatch(r"(.*\(\* )(\w+)(\).*)", declaration):
            yield callback[1] + callback[3], callback[2]
            continue
        first, *others = declaration.split(", ")
        kind, name, array = re.fullmatch(r"(.*?)(\w+)((?:\[\w+\])?)", first).groups()
        for each in [name + array, *others]:
            yield kind.strip() + each[re.match(r"\w+", each).end():], re.match(r"\w+", each)[0]


program = ["#include <stddef.h>", "#include <stdio.h>", f'#include "{header}"', "int main(void) {"]


def say(line, *values):
    program.append(f'    printf("{line}\\n"{"".join(f", (long long)({value})" for value in values)});')


def take(pattern):
    """Every match, which is then gone from the text."""
    global text
    found = re.findall(pattern, text)
    text = re.sub(pattern, "", text)
    return found


say("OLV_VERSION %#llx", "OLV_VERSION")
for body, name in take(r"typedef enum \w+\{([^}]*)\}(\w+);"):
    for enumerator in re.findall(r"(\w+)(?: = [^,]*)?(?:, |$)", body):
        say(f"{name} {enumerator} %lld", enumerator)
for body, name in take(r"typedef struct \w+\{([^}]*)\}(\w+);"):
    say(f"{name} size %lld", f"sizeof({name})")
    for kind, field in fields(body):
        say(f"{name}.{field} at %lld, of %lld: {kind}",
            f"offsetof({name}, {field})", f"sizeof((({name}*)0)->{field})")
for declaration in take(r"typedef ([^;{}]*\(\* \w+\)\([^;]*\));") + take(r"OLV_API ([^;{}]*);"):
    say(declaration)
program.append("    return 0;\n}")

take(r"typedef struct (\w+) \1;|struct \w+;")  # handles, and what is defined later
if rest := re.sub(r'extern "C"|[{} ]', "", text):
    sys.exit(f"{header}: this is not understood: {rest}")

with tempfile.TemporaryDirectory() as folder:
    source = pathlib.Path(folder, "abi.c")
    source.write_text("\n".join(program))
    subprocess.run(["cc", "-std=c99", "-o", f"{folder}/abi", source], check=True)
    subprocess.run([f"{folder}/abi"], check=True)
