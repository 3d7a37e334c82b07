#!/usr/bin/env python3
"""Holds the C ABI to the promise of its SONAME: nothing but additions.

  abi.py compare DUMP HEADER LIBRARY   fails if a program built by DUMP could break
  abi.py update DUMP HEADER LIBRARY    renews DUMP; only additions are taken

Types and signatures are what the header says: abidw reads them from an object that
a C compiler makes of it, one empty function for each declaration. The debug data of
the library itself would show the Rust types behind the opaque handles. That header
and library agree is checked elsewhere (cbindgen writes the one from the other), but
for names and SONAME, which are checked here.
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def run(*command):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout}")
    return done.stdout


def stub(header):
    """A C file that defines what the header declares."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    functions = re.findall(r"\bIMGROUP_API\s([^;{}]*\));", code)
    enums = re.findall(r"\btypedef enum\b[^}]*}\s*(\w+);", code)
    lines = ["#include <imgroup.h>"]
    # Enumerations stand in no signature.
    lines += [f"static __attribute__((used)) {name} a_{name};" for name in enums]
    lines += [" ".join(function.split()) + " { __builtin_trap(); }" for function in functions]
    return "\n".join(lines) + "\n"


def dump(header, soname):
    """The ABI of a header, as abidw writes it; the same on every machine of one kind."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "imgroup.h").write_text(header)
        (folder / "imgroup.c").write_text(stub(header))
        # The same options everywhere: DWARF 4 is what old and new abidw read.
        run("cc", "-g", "-gdwarf-4", "-O0", "-shared", "-fPIC", f"-ffile-prefix-map={folder}=.", f"-I{folder}",
            f"-Wl,-soname,{soname}", str(folder / "imgroup.c"), "-o", str(folder / "stub.so"))
        return run("abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--load-all-types",
                   str(folder / "stub.so"))


def compare(old, new):
    """(what is not an addition, what was added) between two dumps, both as text or ""."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in (("stored", old), ("new", new)):
            paths.append(pathlib.Path(folder) / f"{name}.abi")
            paths[-1].write_text(text)

        def differences(*options):
            done = subprocess.run(["abidiff", "--non-reachable-types", *options, *map(str, paths)],
                                  text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            # Bits 1 and 2: abidiff itself failed, or was called wrongly.
            if done.returncode & 3:
                sys.exit(f"abidiff: {done.returncode}\n{done.stdout}")
            return done.returncode, done.stdout

        # Enumerators that are added count as harmless, types that are added do not.
        code, report = differences("--no-added-syms")
        broken = any(int(count) for count in re.findall(r"(\d+) (?:removed|changed)\b", report, re.I))
        if code and not broken and "summary" not in report:
            sys.exit(f"abidiff: {code}\n{report}")
        return (report if broken else ""), differences("--harmless")[1]


def exported(library):
    """SONAME and functions of a shared library."""
    dynamic = run("readelf", "-d", library)
    symbols = run("nm", "-D", "--defined-only", library)
    return re.search(r"soname: \[(.*)\]", dynamic)[1], {line.split()[2] for line in symbols.splitlines()}


def main(verb, stored, header, library):
    stored, header = pathlib.Path(stored), pathlib.Path(header).read_text()
    soname, functions = exported(library)
    if stored.name != f"{soname}.abi":
        sys.exit(f"the library is {soname}, the dump {stored.name}")
    new = dump(header, soname)
    declared = set(re.findall(r"<elf-symbol name='(\w+)' type='func-type'", new))
    if declared != functions:
        sys.exit(f"the header and the library differ in {sorted(declared ^ functions)}")
    if not stored.exists():
        if verb == "update":
            stored.write_text(new)
            return print(f"{stored}: written, {len(functions)} functions")
        sys.exit(f"no {stored}: a new SONAME? Then: make abi UPDATE=1")
    broken, added = compare(stored.read_text(), new)
    if broken:
        sys.exit(f"{broken}\nThat breaks programs linked with {soname}.\nPromise: packaging/abi/README.md")
    if verb == "update":
        stored.write_text(new)
        return print(f"{stored}: {len(functions)} functions")
    print(f"{soname}: {len(functions)} functions, nothing removed or changed")
    if added.strip():
        print(f"{added}\nThat was added. It becomes part of the promise by: make abi UPDATE=1")


if __name__ == "__main__":
    main(*sys.argv[1:])
