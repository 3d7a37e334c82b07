#!/usr/bin/env python3
"""Tries what `make install` and `make deb` make, as a user would.

    make installed-tests                            everything but the packages
    make installed-tests INSTALLED_TESTS=deb        the Debian packages
    make installed-tests INSTALLED_TESTS='man hpp'  tests whose names hold a word

Programs in C and C++ are built from an installed tree and run against the
emulator. The last line counts.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
import urllib.request

sys.dont_write_bytecode = True
import cases

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("TARGET_DIR") or ROOT / "target").resolve()
LIBRARY = pathlib.Path(os.environ.get("LIBRARY") or TARGET / "release/libimgroup.so")
ARCHIVE = pathlib.Path(os.environ.get("ARCHIVE") or TARGET / "release/libimgroup.a")
COMMAND = pathlib.Path(os.environ.get("COMMAND") or TARGET / "release/imgroup")
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
ABI = ".".join(VERSION.split(".")[:2]) if VERSION.startswith("0.") else VERSION.split(".")[0]
KEY = "00000000000000000000000000000000000000000000000000000000deadbeef"
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
PACKAGES = {
    "cc": "gcc", "g++": "g++", "clang++": "clang", "pkg-config": "pkg-config", "cmake": "cmake", "nm": "binutils",
    "readelf": "binutils", "mandoc": "mandoc", "man": "man-db", "lintian": "lintian", "dpkg-deb": "dpkg",
    "dh": "debhelper", "dpkg-buildpackage": "dpkg-dev", "valgrind": "valgrind",
}


class Failed(Exception):
    pass


def check(holds, text):
    if not holds:
        raise Failed(text)


def same(found, expected, text):
    check(found == expected, f"{text}: {found!r}, not {expected!r}")


def need(*tools):
    missing = sorted({PACKAGES[tool] for tool in tools if not shutil.which(tool)})
    check(not missing, f"missing; install with:  apt-get install {' '.join(missing)}")


def run(*command, status=0, **options):
    """Runs a command; gives its standard output."""
    options.setdefault("timeout", 300)
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if status is not None and result.returncode != status:
        words = " ".join(map(str, command))
        raise Failed(f"exit {result.returncode}, not {status}: {words}\n{result.stdout}{result.stderr}")
    return result if status is None else result.stdout


# ---------------------------------------------------------------- what is under test


class Emulator:
    """`imgroup emulator` on a free port; ends with this process, however it ends."""

    def __init__(self, *options):
        command = [COMMAND, "emulator", "--port", "0", "--exit-on-stdin-eof", *options]
        environment = {"PATH": os.environ["PATH"], "IMGROUP_SECRET_KEY": KEY}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.ready = json.loads(self.process.stdout.readline())
        self.url = self.ready["url"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def fault(self, **order):
        self.control("POST", "/_emulator/faults", order)

    def environment(self, **more):
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "IMGROUP_SDKAPPID": "1400000000",
            "IMGROUP_IDENTIFIER": "administrator",
            "IMGROUP_SECRET_KEY": KEY,
            "IMGROUP_ENDPOINT": self.url,
            "IMGROUP_QUOTA_DIR": str(Shared.quota()),
            **more,
        }


class Shared:
    """What several tests use: made once, removed at the end."""

    directory = None
    _prefix = None

    @classmethod
    def work(cls, name):
        path = cls.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @classmethod
    def quota(cls):
        return cls.work("quota")

    @classmethod
    def prefix(cls):
        """A tree that was installed where it lies."""
        if cls._prefix is None:
            cls._prefix = cls.directory / "prefix"
            make("install", PREFIX=cls._prefix)
        return cls._prefix


def make(target, **variables):
    words = [f"{name}={value}" for name, value in variables.items()]
    words += [f"LIBRARY={LIBRARY}", f"ARCHIVE={ARCHIVE}", f"COMMAND={COMMAND}", f"TARGET_DIR={TARGET}"]
    # Not what the make that runs us was told.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return run("make", "-C", ROOT, "-f", "packaging/install.mk", target, *words, env=environment)


def pkg_config(prefix, *words):
    need("pkg-config")
    environment = dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))
    return run("pkg-config", *words, "imgroup", env=environment).split()


def needed(program):
    need("readelf")
    return re.findall(r"NEEDED.*\[(.*?)\]", run("readelf", "-d", program))


def functions():
    header = (ROOT / "include/imgroup.h").read_text()
    return sorted(re.findall(r"^IMGROUP_API[^;(]*?(\w+)\(", header, re.M))


def expect_program(program, library_path=None):
    """Runs program.c or program.cpp as built."""
    with Emulator("--seed-accounts", "alice") as emulator:
        more = {"LD_LIBRARY_PATH": str(library_path)} if library_path else {}
        same(run(program, env=emulator.environment(**more)), f"{VERSION} Work\n", program.name)


# ---------------------------------------------------------------- the installed tree

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def listing(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir() or path.is_symlink())


@test
def install_lays_down_what_it_should():
    stage = Shared.directory / "stage"
    make("install", DESTDIR=stage, PREFIX="/usr", LIBDIR="/usr/lib/here")
    expected = [
        "usr/bin/imgroup", "usr/include/imgroup.h", "usr/include/imgroup.hpp",
        "usr/lib/here/libimgroup.a", "usr/lib/here/libimgroup.so", f"usr/lib/here/libimgroup.so.{ABI}",
        f"usr/lib/here/libimgroup.so.{VERSION}", "usr/lib/here/pkgconfig/imgroup.pc",
        "usr/lib/here/cmake/imgroup/imgroupConfig.cmake", "usr/lib/here/cmake/imgroup/imgroupConfigVersion.cmake",
        "usr/share/man/man1/imgroup.1", "usr/share/man/man3/imgroup.3",
        *(f"usr/share/man/man3/{name}.3" for name in functions()),
    ]
    same(listing(stage), sorted(expected), "files")
    library = stage / "usr/lib/here"
    same(os.readlink(library / "libimgroup.so"), f"libimgroup.so.{ABI}", "link")
    same(os.readlink(library / f"libimgroup.so.{ABI}"), f"libimgroup.so.{VERSION}", "link")
    for path in stage.rglob("*"):
        mode, wanted = path.stat().st_mode & 0o777, 0o644
        if path.is_dir() or path.parent.name == "bin" or ".so." in path.name or path.name.endswith(".so"):
            wanted = 0o755
        same(oct(mode), oct(wanted), f"mode of {path.name}")
    leaked = [name for name in listing(stage) if str(stage).encode() in (stage / name).read_bytes()]
    same(leaked, [], "files that name the staging directory")
    make("uninstall", DESTDIR=stage, PREFIX="/usr", LIBDIR="/usr/lib/here")
    same(listing(stage), [], "left by uninstall")
    check(not (library / "cmake/imgroup").exists(), "uninstall left its own directory")


@test
def uninstall_touches_nothing_else():
    prefix = Shared.work("other")
    make("install", PREFIX=prefix)
    strangers = ["lib/libother.so", "lib/cmake/imgroup/ours.cmake", "share/man/man3/imgroup_other.3"]
    for name in strangers:
        (prefix / name).write_text("x")
    make("uninstall", PREFIX=prefix)
    same(listing(prefix), sorted(strangers), "left by uninstall")


@test
def library_exports_the_header_and_no_more():
    need("nm", "readelf")
    dynamic = run("readelf", "-d", LIBRARY)
    check(f"soname: [libimgroup.so.{ABI}]" in dynamic, f"no SONAME libimgroup.so.{ABI}:\n{dynamic}")
    check("NODELETE" in dynamic, "the library may be unloaded, which Rust does not survive")
    exported = re.findall(r"^\w+ [TDBRVWi] (\w+)", run("nm", "-D", "--defined-only", LIBRARY), re.M)
    same(sorted(exported), functions(), "exports")
    check(b"/_emulator/" not in LIBRARY.read_bytes(), "the library carries the emulator: it was built with --features cli")


@test
def static_libraries_are_what_rustc_says():
    empty = Shared.work("native") / "empty.rs"
    empty.write_text("")
    result = run("rustc", "--crate-type", "staticlib", "--print", "native-static-libs", empty, "-o",
                 empty.with_suffix(".a"), status=None)
    said = set(re.search(r"native-static-libs: (.*)", result.stderr)[1].split())
    have = set(pkg_config(Shared.prefix(), "--static", "--libs-only-l")) - {"-limgroup"}
    # The compiler driver adds the unwinder.
    same(sorted(have), sorted(said - {"-lgcc_s"}), "Libs.private")


def build_with_pkg_config(language, how):
    compiler = {"c": ["cc", "-std=c99"], "cpp": ["g++", "-std=c++17"]}[language]
    need(compiler[0])
    prefix, program = Shared.prefix(), Shared.work("pkg-config") / f"{language}_{how}"
    flags = {
        "shared": lambda: pkg_config(prefix, "--cflags", "--libs"),
        "archive": lambda: pkg_config(prefix, "--cflags") + pkg_config(prefix, "--variable=static_libs"),
        "static": lambda: ["-static"] + pkg_config(prefix, "--static", "--cflags", "--libs"),
    }[how]()
    # glibc says that a static program needs its files for name look-ups at run time.
    strict = STRICT if how != "static" else STRICT[:-1]
    run(*compiler, *strict, HERE / f"program.{language}", "-o", program, *flags)
    same(f"libimgroup.so.{ABI}" in needed(program), how == "shared", "needs the shared library")
    same(needed(program) == [], how == "static", "needs no library at all")
    expect_program(program, prefix / "lib" if how == "shared" else None)


@test
def pkg_config_c_shared():
    build_with_pkg_config("c", "shared")


@test
def pkg_config_c_archive():
    build_with_pkg_config("c", "archive")


@test
def pkg_config_c_fully_static():
    build_with_pkg_config("c", "static")


@test
def pkg_config_cpp_shared():
    build_with_pkg_config("cpp", "shared")


@test
def pkg_config_cpp_archive():
    build_with_pkg_config("cpp", "archive")


@test
def pkg_config_where_only_the_archive_is_installed():
    need("cc")
    prefix = Shared.directory / "only-archive"
    shutil.copytree(Shared.prefix(), prefix, symlinks=True)
    for path in (prefix / "lib").glob("*.so*"):
        path.unlink()
    program = Shared.work("pkg-config") / "c_only_archive"
    # It lies elsewhere than it was installed: --define-prefix finds it.
    flags = pkg_config(prefix, "--define-prefix", "--static", "--cflags", "--libs")
    run("cc", "-std=c99", *STRICT, HERE / "program.c", "-o", program, *flags)
    check(f"libimgroup.so.{ABI}" not in needed(program), "linked the shared library from elsewhere")
    expect_program(program)
    shutil.rmtree(prefix)


@test
def cmake_builds_all_four_targets_from_a_moved_tree():
    need("cmake", "cc", "g++")
    moved, build = Shared.directory / "moved here", Shared.work("cmake")
    shutil.copytree(Shared.prefix(), moved, symlinks=True)
    run("cmake", "-S", HERE, "-B", build, f"-DCMAKE_PREFIX_PATH={moved}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build)
    for name in ["c_shared", "c_static", "cpp_shared", "cpp_static"]:
        same(f"libimgroup.so.{ABI}" in needed(build / name), name.endswith("shared"), f"{name} needs the shared library")
        # The build tree's rpath leads to the library.
        expect_program(build / name)
    shutil.rmtree(moved)


@test
def cmake_knows_which_versions_fit():
    need("cmake")
    major, minor, patch = map(int, VERSION.split("."))
    rows = [
        ("", True), (f"{major}.{minor}", True), (VERSION, True), (f"{VERSION};EXACT", True),
        (f"{major}.{minor}.{patch + 1}", False), (f"{major}.{minor + 1}", False), (f"{major + 1}", False),
        (f"{major}.{minor}...{major}.{minor + 1}", True), (f"{major + 1}.0...{major + 2}.0", False),
        (f"{major}.0.0...<{VERSION}", False),
    ]
    for wanted, fits in rows:
        build = Shared.work("cmake-version")
        shutil.rmtree(build)
        result = run("cmake", "-S", HERE, "-B", build, f"-DCMAKE_PREFIX_PATH={Shared.prefix()}", "-DONLY_FIND=1",
                     f"-DWANTED={wanted}", status=None)
        same(result.returncode == 0, fits, f"find_package(imgroup {wanted})")


@test
def two_rust_archives_in_one_program():
    need("cc")
    work, prefix = Shared.work("two"), Shared.prefix()
    run("rustc", "--edition", "2024", "-O", HERE / "second.rs", "-o", work / "libsecond.a")
    flags = pkg_config(prefix, "--cflags") + pkg_config(prefix, "--variable=static_libs")
    for order in ("first", "last"):
        second = [work / "libsecond.a"]
        archives = second + flags if order == "first" else flags + second
        run("cc", *STRICT, HERE / "two_archives.c", "-o", work / order, *archives)
        same(run(work / order), "-1 IMGROUP_E_INVALID_ARGUMENT 7\n", f"output with it {order}")


@test
def cargo_c_finds_its_table():
    capi = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["metadata"]["capi"]
    for asset in capi["install"]["include"]["asset"]:
        check((ROOT / asset["from"]).exists(), f"{asset['from']} is not there")
    same(capi["header"]["generation"], False, "the header is generated anew")
    same(capi["pkg_config"]["filename"], "imgroup", "name of the .pc file")


@test
def version_is_the_same_everywhere():
    changelog = (ROOT / "packaging/debian/changelog").read_text()
    same(re.match(r"libimgroup \((.*?)\)", changelog)[1], VERSION, "debian/changelog")
    check(f"\nPackage: libimgroup{ABI}\n" in (ROOT / "packaging/debian/control").read_text(), "debian/control")
    check((ROOT / f"packaging/debian/libimgroup{ABI}.install").exists(), f"debian/libimgroup{ABI}.install")
    major, minor, patch = map(int, VERSION.split("."))
    number = re.search(r"define IMGROUP_HPP_VERSION_NUMBER (\d+)", (ROOT / "include/imgroup.hpp").read_text())[1]
    # imgroup.hpp names the oldest header it can do with, of the same major and minor.
    same(int(number) // 1000, major * 1000 + minor, "imgroup.hpp")
    check(int(number) % 1000 <= patch, "imgroup.hpp wants a later header")


# ---------------------------------------------------------------- the manual


@test
def man_has_a_page_for_every_function():
    man = Shared.prefix() / "share/man"
    pages = sorted(path.stem for path in (man / "man3").iterdir())
    same(pages, sorted(functions() + ["imgroup"]), "pages in section 3")
    declarations = (ROOT / "include/imgroup.h").read_text().partition('extern "C"')[2]
    for name in functions():
        text = (man / "man3" / f"{name}.3").read_text()
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "RETURN VALUE", "ERRORS", "THREADS", "SINCE", "SEE ALSO"]:
            check(re.search(rf'^\.SH "?{section}"?$', text, re.M), f"{name}(3) has no {section}")
        parameters = re.search(rf"\b{name}\((.*?)\);", declarations, re.S)[1]
        for parameter in re.findall(r"(\w+)(?:,|$)", " ".join(parameters.split())):
            check(parameter == "void" or f".I {parameter}\n" in text, f"{name}(3) does not explain {parameter}")
        check("\nSee above.\n" not in text, f"the comment of {name} has no @return")
        check(not re.search(r"(?<!\S)@", text), f"{name}(3) holds a tag that was not understood")


@test
def man_warns_of_nothing():
    need("mandoc", "man")
    man = Shared.prefix() / "share/man"
    environment = dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80")
    for path in sorted(man.glob("man?/*")):
        same(run("mandoc", "-Tlint", path, status=None).stdout, "", f"mandoc -Tlint {path.name}")
        words = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path]
        same(run(*words, env=environment, status=None).stderr, "", f"man --warnings {path.name}")
    for name in ["imgroup_delete_lists", "imgroup"]:
        check(name in run("man", "-M", man, "3", name, env=environment), f"man 3 {name}")


@test
def man_1_imgroup_holds_every_command():
    page = (Shared.prefix() / "share/man/man1/imgroup.1").read_text()
    commands = re.findall(r"^  ([a-z-]+)", run(COMMAND, "--help").partition("Commands:")[2].partition("\n\n")[0], re.M)
    for command in commands:
        check(command == "help" or f'.SS "imgroup {command}"' in page, f"no {command} in imgroup(1)")
    check(".B \\-\\-exit\\-on\\-stdin\\-eof" in page, "no options in imgroup(1)")


# ---------------------------------------------------------------- C++


def standards(compiler):
    for standard in ["c++17", "c++20", "c++23", "c++2b"]:
        probe = subprocess.run([compiler, f"-std={standard}", "-x", "c++", "-fsyntax-only", "-"], input="int main() {}",
                               capture_output=True, text=True)
        if probe.returncode == 0:
            yield standard


@test
def hpp_compiles_with_every_standard_and_compiler():
    need("g++", "clang++")
    count = 0
    for compiler in ["g++", "clang++"]:
        for standard in standards(compiler):
            for face in [[], ["-fno-exceptions"]]:
                source = ROOT / "tests/cpp" / ("no_exceptions.cpp" if face else "hpp.cpp")
                run(compiler, f"-std={standard}", *face, *STRICT, "-Wshadow", "-fvisibility=hidden", "-fsyntax-only",
                    f"-I{ROOT / 'include'}", source)
                count += 1
    check(count >= 12, f"only {count} compilations")


@test
def hpp_refuses_older_headers_and_languages():
    need("g++")
    work = Shared.work("old")
    header = (ROOT / "include/imgroup.h").read_text()
    (work / "imgroup.h").write_text(re.sub(r"(VERSION_NUMBER) \d+", r"\1 999", header))
    shutil.copy(ROOT / "include/imgroup.hpp", work)
    (work / "old.cpp").write_text("#include <imgroup.hpp>\n")
    for flags, words in [(["-std=c++17"], "different versions"), (["-std=c++14"], "needs C++17")]:
        result = run("g++", *flags, "-fsyntax-only", f"-I{work}", work / "old.cpp", status=None)
        check(result.returncode != 0 and words in result.stderr, f"{flags} is accepted")


def compile_program(source, program, *flags):
    prefix = Shared.prefix()
    compiler = ["cc", "-std=c99"] if source.suffix == ".c" else ["g++", "-std=c++17"]
    need(compiler[0])
    library = prefix / "lib"
    run(*compiler, *STRICT, "-pthread", *flags, source, "-o", program, *pkg_config(prefix, "--cflags", "--libs"),
        f"-Wl,-rpath,{library}")
    return program


# Accounts whose calls go wrong in one way each; more times than anything tries.
FAULTS = {
    "throttled": {"kind": "error", "code": 60007},
    "refused": {"kind": "error", "code": 30005},
    "broken": {"kind": "error", "code": 30006, "display": "Please try later"},
    "lost": {"kind": "hang_up"},
    "slow": {"kind": "delay", "delay_ms": 30000},
    "forbidden": {"kind": "error", "code": 30004},
}


@contextlib.contextmanager
def faulty_emulator():
    with Emulator("--seed-accounts", "alice,bob,carol," + ",".join(FAULTS)) as emulator:
        for account, fault in FAULTS.items():
            emulator.fault(account=account, times=1000, **fault)
        yield emulator


def run_hpp(source, *flags):
    program = compile_program(ROOT / "tests/cpp" / source, Shared.work("hpp") / source.replace(".", "_"), *flags)
    with faulty_emulator() as emulator:
        output = run(program, env=emulator.environment(), timeout=120)
        check(output.endswith("0 failed\n"), output)
    return program


@test
def hpp_with_exceptions():
    run_hpp("hpp.cpp", "-g")


@test
def hpp_without_exceptions():
    run_hpp("no_exceptions.cpp", "-fno-exceptions")


@test
def hpp_with_sanitizers():
    run_hpp("hpp.cpp", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


# ---------------------------------------------------------------- the examples

LANGUAGES = {"c": "c", "cpp": "cpp"}


def example(language, name, *flags):
    source = ROOT / "examples" / language / f"{name}.{language}"
    return compile_program(source, Shared.work(f"examples-{language}") / name, *flags)


def both(function):
    for language in LANGUAGES:
        def one(language=language):
            function(language)
        kind = "" if function.__name__ == "table_of_cases" else "example_"
        one.__name__ = f"{kind}{language}_{function.__name__}"
        TESTS.append(one)
    return function


@both
def delete_lists(language):
    program = example(language, "delete_lists")
    with Emulator("--seed-accounts", "alice", "--unknown-list", "30001") as emulator:
        environment = emulator.environment()
        run(example(language, "create_and_read"), "alice", "Family", env=environment)
        output = run(program, "alice", "Family", env=environment)
        check(output.startswith("deleted; the lists of alice are at sequence"), output)
        run(program, "nobody", "Family", env=environment, status=1)
        run(program, env=environment, status=1)
        lists = emulator.control("GET", "/_emulator/state")["accounts"]["alice"]["lists"]
        check("Family" not in json.dumps(lists), "the list is still there")


@both
def create_and_read(language):
    program = example(language, "create_and_read")
    with Emulator() as emulator:
        emulator.control("PUT", "/_emulator/state", {"accounts": {
            "alice": {"lists": ["Work"], "friends": [{"account": "bob", "lists": []}]}, "bob": {}, "carol": {}}})
        output = run(program, "alice", "Running", "bob", "carol", env=emulator.environment())
        lines = output.splitlines()
        same(lines[0], "bob: in the list", "first line")
        check(lines[1].startswith("carol: ERR_SVR_FRIENDSHIP_"), output)
        same(sorted(lines[2:]), ["Running (1) bob", "Work (0)"], "lists")


CLASSES = ["", "argument", "network", "deadline", "cancelled", "throttled", "auth", "not_found", "server", "internal"]


@both
def handle_errors(language):
    program = example(language, "handle_errors")
    flags = pkg_config(Shared.prefix(), "--cflags") + pkg_config(Shared.prefix(), "--variable=static_libs")
    with faulty_emulator() as emulator:
        for account, kind, outcome, more in [
            ("alice", "", False, {}),
            ("refused", "argument", False, {}),
            ("lost", "network", True, {}),
            ("alice", "network", False, {"IMGROUP_ENDPOINT": "http://127.0.0.1:1"}),
            ("slow", "deadline", True, {"IMGROUP_TIMEOUT_MS": "300"}),
            ("throttled", "throttled", False, {"IMGROUP_TIMEOUT_MS": "1000"}),
            ("forbidden", "auth", False, {}),
            ("alice", "auth", False, {"IMGROUP_SECRET_KEY": "another"}),
            ("nobody", "not_found", False, {}),
            ("broken", "server", True, {}),
        ]:
            result = run(program, account, "Family", env=emulator.environment(**more), status=None)
            same(CLASSES[result.returncode], kind, f"class for {account}: {result.stdout}{result.stderr}")
            same("may have been applied" in result.stdout, outcome, f"outcome for {account}: {result.stdout}")

        # Without a descriptor for a socket it is the process that fails. Only a
        # program without libraries to load gets that far.
        static = Shared.work(f"examples-{language}") / "handle_errors_static"
        compiler = "cc" if language == "c" else "g++"
        source = ROOT / f"examples/{language}/handle_errors.{language}"
        run(compiler, "-static", source, "-o", static, *flags)
        words = ["sh", "-c", 'ulimit -n 3; exec "$0" alice Family', static]
        result = run(*words, env=emulator.environment(), status=None)
        same(CLASSES[result.returncode], "internal", f"class without descriptors: {result.stdout}{result.stderr}")


@both
def cancel_and_deadline(language):
    program = example(language, "cancel_and_deadline")
    with faulty_emulator() as emulator:
        started = time.monotonic()
        output = run(program, "slow", "200", env=emulator.environment())
        took = time.monotonic() - started
        same(output, "with a deadline: IMGROUP_E_DEADLINE, UNKNOWN\nwith a canceller: IMGROUP_E_CANCELLED, UNKNOWN\n", "output")
        check(0.35 < took < 3, f"took {took:.2f} s")
        same(run(program, "alice", "500", env=emulator.environment()),
             "with a deadline: ok\nwith a canceller: ok\n", "output")


@both
def bulk_delete(language):
    program, work = example(language, "bulk_delete"), Shared.work(f"bulk-{language}")
    rows, journal = work / "rows.csv", work / "journal"
    accounts = {f"u{number}": {"lists": ["Old", "New"]} for number in range(40)}
    rows.write_text("account,list\n" + "".join(f"{name},Old\n" for name in [*accounts, "nobody"]))
    with Emulator() as emulator:
        emulator.control("PUT", "/_emulator/state", {"accounts": accounts})
        emulator.fault(kind="delay", delay_ms=400, times=1000)
        environment = emulator.environment()
        # Interrupted, it ends by itself; then the same command goes on.
        process = subprocess.Popen([program, rows, journal], env=environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        while emulator.control("GET", "/_emulator/requests/count?command=v4/sns/group_delete")["count"] == 0:
            check(process.poll() is None, "ended before it was interrupted")
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
        check(process.returncode == 1 and "IMGROUP_E_JOB_STOPPED" in said, f"interrupted: {process.returncode} {said}")
        left = emulator.control("GET", "/_emulator/state")["accounts"]
        check(any(len(left[name]["lists"]) == 2 for name in accounts), "nothing was left to do")
        same(run(program, rows, journal, env=environment, status=1),
             f"40 deleted, 0 already gone, 1 failed, 0 unknown\nthe rows to look at are in {journal}.failed.csv\n",
             "output")
        same((work / "journal.failed.csv").read_text().splitlines()[1].split(",")[:2], ["nobody", "Old"], "failed rows")
        left = emulator.control("GET", "/_emulator/state")["accounts"]
        same({name: left[name]["lists"] for name in accounts}, {name: ["New"] for name in accounts}, "lists")
        run(program, rows, env=environment, status=1)


@both
def use_emulator(language):
    program = example(language, "use_emulator")
    environment = {"PATH": os.environ["PATH"], "IMGROUP_COMMAND": str(COMMAND), "IMGROUP_SDKAPPID": "7"}
    same(run(program, env=environment), "the tests passed\n", "output")
    # Found in PATH too; and a missing one is said.
    path = {"PATH": f"{Shared.prefix() / 'bin'}:{os.environ['PATH']}"}
    same(run(program, env=path), "the tests passed\n", "output")
    run(program, env={"PATH": "/usr/bin:/bin", "IMGROUP_COMMAND": "/nowhere/imgroup"}, status=1)


# ---------------------------------------------------------------- the one table


@both
def table_of_cases(language):
    """tests/cases.json, which the suites of all languages run."""
    table = json.loads((ROOT / "tests/cases.json").read_text())
    with contextlib.ExitStack() as stack:
        emulators = {options: stack.enter_context(Emulator(*options))
                     for options in {tuple(case.get("emulator", [])) for case in table["cases"]}}
        work = Shared.work(f"cases-{language}")
        ready = {options: emulator.ready for options, emulator in emulators.items()}
        (work / "cases.inc").write_text(cases.include(table, ready))
        source = ROOT / "tests" / language / f"cases.{language}"
        program = compile_program(source, work / "cases", f"-I{work}")
        quota = Shared.work(f"quota-{language}")
        wrong = cases.run_all(table, emulators,
                              lambda number, emulator: run(program, number, quota, env=emulator.environment()))
    check(not wrong, f"{len(wrong)} differences in {len(table['cases'])} cases:\n" + "\n".join(wrong))


# ---------------------------------------------------------------- Debian packages


def deb_contents(path):
    listing = run("dpkg-deb", "--contents", path)
    return sorted(re.sub(r"^\./", "", line.split(None, 5)[5].split(" -> ")[0]) for line in listing.splitlines()
                  if not line.startswith("d"))


def deb():
    need("dh", "dpkg-buildpackage", "dpkg-deb", "lintian")
    made = sorted((TARGET / "deb").glob("*.changes"))
    sources = [LIBRARY, ARCHIVE, COMMAND, ROOT / "include/imgroup.h", ROOT / "include/imgroup.hpp",
               *(ROOT / "packaging").rglob("*")]
    if not made or any(path.stat().st_mtime > made[0].stat().st_mtime for path in sources):
        make("deb")
    architecture = run("dpkg", "--print-architecture").strip()
    triplet = run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()
    files = {name: TARGET / "deb" / f"{name}_{VERSION}_{architecture}.deb"
             for name in [f"libimgroup{ABI}", "libimgroup-dev", "imgroup-tools"]}
    lib = f"usr/lib/{triplet}"

    contents = deb_contents(files[f"libimgroup{ABI}"])
    for name in [f"{lib}/libimgroup.so.{ABI}", f"{lib}/libimgroup.so.{VERSION}"]:
        check(name in contents, f"no {name} in {contents}")
    control = run("dpkg-deb", "--info", files[f"libimgroup{ABI}"])
    check("libc6 (>=" in control and "symbols" in control and "triggers" in control, control)

    contents = deb_contents(files["libimgroup-dev"])
    for name in ["usr/include/imgroup.h", "usr/include/imgroup.hpp", f"{lib}/libimgroup.a", f"{lib}/libimgroup.so",
                 f"{lib}/pkgconfig/imgroup.pc", f"{lib}/cmake/imgroup/imgroupConfig.cmake",
                 *(f"usr/share/man/man3/{name}.3.gz" for name in functions())]:
        check(name in contents, f"no {name} in libimgroup-dev")
    contents = deb_contents(files["imgroup-tools"])
    for name in ["usr/bin/imgroup", "usr/share/man/man1/imgroup.1.gz"]:
        check(name in contents, f"no {name} in imgroup-tools")

    # Unpacked, not installed: this machine stays as it is.
    root = Shared.work("deb-root")
    for path in files.values():
        run("dpkg-deb", "--extract", path, root)
    environment = dict(os.environ, PKG_CONFIG_PATH=str(root / lib / "pkgconfig"), PKG_CONFIG_SYSROOT_DIR=str(root))
    flags = run("pkg-config", "--cflags", "--libs", "imgroup", env=environment).split()
    program = Shared.work("deb") / "program"
    run("cc", *STRICT, HERE / "program.c", "-o", program, *flags)
    expect_program(program, root / lib)

    changes = next((TARGET / "deb").glob("*.changes"))
    found = run("lintian", "--fail-on", "none", changes, timeout=600)
    same(found, "", "lintian")


# ---------------------------------------------------------------- the runner


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only tests whose names hold one of these")
    parser.add_argument("--keep", action="store_true", help="keep the directory of the run")
    arguments = parser.parse_args()
    # The packages are built again for their test, so it runs when it is named.
    words = arguments.words
    tests = [one for one in TESTS if not words or any(word in one.__name__ for word in words)]
    tests += [deb] * ("deb" in words)
    if not tests:
        sys.exit(f"no test is named {' or '.join(words)}")

    Shared.directory = pathlib.Path(tempfile.mkdtemp(prefix="imgroup-installed-"))
    passed, failures = 0, []
    try:
        for one in tests:
            started = time.monotonic()
            try:
                one()
                word, passed = "ok", passed + 1
            except Exception as error:
                word = "FAILED"
                failures.append((one.__name__, str(error) if isinstance(error, Failed) else traceback.format_exc()))
            print(f"{one.__name__:<58} {time.monotonic() - started:6.2f} s  {word}", flush=True)
    finally:
        if arguments.keep:
            print(f"kept: {Shared.directory}")
        else:
            shutil.rmtree(Shared.directory, ignore_errors=True)
    for name, text in failures:
        print(f"\n{name}:\n{text}")
    print(f"\n{passed} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
