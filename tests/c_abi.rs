//! The C ABI as C programmers meet it: the shipped files, a real compiler, and
//! programs in `tests/c` against an emulator.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use imgroup::emulator::{DEMO_SECRET_KEY, Emulator, Options};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Programs in `tests/c` that run against an emulator and report by their status.
const PROGRAMS: &[&str] =
    &["version", "happy", "arguments", "situations", "frees", "threads", "jobs", "misuse"];

/// Where `make lib` puts what is shipped; makes it if it is not there.
fn library_directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = Path::new(ROOT).join("target/release");
        if !directory.join("libimgroup.so.0.1").exists() || !directory.join("libimgroup.a").exists() {
            run(Command::new("make").arg("lib").current_dir(ROOT));
        }
        directory
    })
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).unwrap()
}

/// A directory for the products of one test.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = std::fs::read_to_string(format!("{ROOT}/include/imgroup.h")).unwrap();
    let mut functions = BTreeSet::new();
    for declaration in header.split("IMGROUP_API").skip(1) {
        let head = declaration.split('(').next().unwrap();
        let name =
            head.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').rfind(|word| !word.is_empty());
        if let Some(name) = name.filter(|name| name.starts_with("imgroup_")) {
            functions.insert(name.to_owned());
        }
    }
    functions
}

#[test]
fn the_library_exports_the_functions_of_the_header_and_nothing_else() {
    let library = library_directory().join("libimgroup.so");
    let symbols = text(run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library)));
    let exported: BTreeSet<_> =
        symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect();
    assert!(exported.len() > 50, "{exported:?}");
    assert_eq!(exported, declared());
}

#[test]
fn the_library_has_its_soname_and_needs_little() {
    let library = library_directory().join("libimgroup.so");
    let dynamic = text(run(Command::new("readelf").arg("-d").arg(&library)));
    assert!(dynamic.contains("soname: [libimgroup.so.0.1]"), "{dynamic}");
    let needed: BTreeSet<_> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split('[').nth(1)?.strip_suffix(']'))
        .collect();
    // The loader itself stands beside libc wherever thread-locals are used.
    assert_eq!(needed, BTreeSet::from(["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1"]));
    let sections = text(run(Command::new("readelf").arg("-S").arg(&library)));
    assert!(!sections.contains(".symtab"), "not stripped");
}

#[test]
fn the_header_alone_compiles_everywhere() {
    let directory = scratch("header");
    let c = directory.join("header.c");
    std::fs::write(&c, "#include <imgroup.h>\nint main(void) { return IMGROUP_OK; }\n").unwrap();
    for compiler in ["gcc", "clang"] {
        for (language, standard) in [("c", "c99"), ("c", "c11"), ("c++", "c++11"), ("c++", "c++20")] {
            run(Command::new(compiler)
                .args(["-x", language, &format!("-std={standard}")])
                .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"])
                .arg(format!("-I{ROOT}/include"))
                .arg(&c));
        }
    }
}

/// How a program is linked.
#[derive(Clone, Copy, Debug)]
enum Link {
    Shared,
    Static,
    /// With AddressSanitizer, in the program and in the library.
    Sanitized,
    /// With ThreadSanitizer, likewise.
    Threads,
}

/// Where `make check-asan` has put the library that it built with AddressSanitizer.
fn sanitized_library() -> Option<PathBuf> {
    std::env::var_os("IMGROUP_ASAN").map(PathBuf::from)
}

/// Where `make tsan` has put the library that it built with ThreadSanitizer, and
/// the sanitizer's runtime.
fn thread_sanitized_library() -> Option<PathBuf> {
    std::env::var_os("IMGROUP_TSAN").map(PathBuf::from)
}

/// Compiles a program of `tests/c` into `folder`, of which each test has its own.
fn compile(program: &str, link: Link, folder: &str) -> PathBuf {
    let binary = scratch(folder).join(format!("{program}-{link:?}").to_lowercase());
    let mut command = Command::new(if matches!(link, Link::Threads) { "clang" } else { "gcc" });
    command
        .args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-g", "-Wall", "-Wextra", "-pedantic", "-Werror"])
        .arg(format!("-I{ROOT}/include"))
        .arg(format!("{ROOT}/tests/c/{program}.c"))
        .arg("-o")
        .arg(&binary);
    let shared = |command: &mut Command, library: &Path| {
        command
            .arg(format!("-L{}", library.display()))
            .arg("-limgroup")
            .arg(format!("-Wl,-rpath,{}", library.display()));
    };
    match link {
        Link::Shared => shared(&mut command, library_directory()),
        Link::Sanitized => {
            command.args(["-fsanitize=address", "-fno-omit-frame-pointer"]);
            shared(&mut command, &sanitized_library().expect("IMGROUP_ASAN"));
        }
        Link::Static => {
            command.arg(library_directory().join("libimgroup.a")).args(["-lgcc_s", "-lm", "-ldl"]);
        }
        Link::Threads => {
            let library = thread_sanitized_library().expect("IMGROUP_TSAN");
            // Rust's runtime: that of the C compiler is older and lacks functions.
            command
                .args(["-fsanitize=thread", "-fno-sanitize-link-runtime", "-Wl,--whole-archive"])
                .arg(library.join("librustc-stable_rt.tsan.a"))
                .args(["-Wl,--no-whole-archive", "-Wl,--export-dynamic"]);
            shared(&mut command, &library);
            command.args(["-lm", "-ldl", "-lrt", "-lstdc++", "-lgcc_s"]);
        }
    }
    run(command.arg("-pthread"));
    binary
}

/// Runs a program against an emulator of its own, under valgrind if asked.
fn execute(binary: &Path, valgrind: bool) {
    // Under valgrind everything takes its time.
    let emulator = Emulator::start(Options { quota: 0, ..Options::default() }).unwrap();
    let mut command = if valgrind {
        let mut command = Command::new("valgrind");
        command.args([
            "-q",
            "--error-exitcode=99",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite,possible",
        ]);
        command.arg(binary);
        command
    } else {
        Command::new(binary)
    };
    let directory = scratch("quota");
    run(command
        .env("IMGROUP_SDKAPPID", "1400000000")
        .env("IMGROUP_IDENTIFIER", "administrator")
        .env("IMGROUP_SECRET_KEY", DEMO_SECRET_KEY)
        .env("IMGROUP_ENDPOINT", emulator.url())
        .env("IMGROUP_QUOTA_DIR", directory));
}

#[test]
fn the_example_in_the_readme_compiles() {
    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let example = readme.split("```c\n").nth(1).unwrap().split("```").next().unwrap();
    let file = scratch("c").join("readme.c");
    std::fs::write(&file, example).unwrap();
    let library = library_directory();
    run(Command::new("gcc")
        .args(["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"])
        .arg(format!("-I{ROOT}/include"))
        .arg(&file)
        .arg(format!("-L{}", library.display()))
        .args(["-limgroup", "-o"])
        .arg(scratch("c").join("readme")));
}

#[test]
fn the_readme_names_every_function_family_of_the_header() {
    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let table = readme.split("| function |").nth(1).unwrap().split("\n\n").next().unwrap();
    for function in declared() {
        let object = function.split('_').nth(1).unwrap();
        let last = function.rsplit('_').next().unwrap();
        let named = table.contains(&function)
            || table.contains(&format!("imgroup_{object}_…"))
            || (table.contains(&format!("`imgroup_{object}_"))
                && (table.contains(last) || function.contains("_set_")));
        assert!(named, "{function} is missing from the table in README.md");
    }
}

#[test]
fn the_misuse_of_every_function_is_tested() {
    let source = std::fs::read_to_string(format!("{ROOT}/tests/c/misuse.c")).unwrap();
    let missing: Vec<_> =
        declared().into_iter().filter(|function| !source.contains(&format!("{function}("))).collect();
    assert!(missing.is_empty(), "tests/c/misuse.c has no row for {missing:?}");
}

#[test]
fn every_function_is_fuzzed() {
    let source = std::fs::read_to_string(format!("{ROOT}/fuzz/c_api.c")).unwrap();
    let is_called = |function: &String| {
        source.contains(&format!("DO({function})")) || source.contains(&format!("SETTER({function},"))
    };
    let missing: Vec<_> = declared().into_iter().filter(|function| !is_called(function)).collect();
    assert!(missing.is_empty(), "fuzz/c_api.c does not call {missing:?}");
}

#[test]
fn programs_run_with_the_shared_and_the_static_library() {
    for program in PROGRAMS {
        for link in [Link::Shared, Link::Static] {
            execute(&compile(program, link, "plain"), false);
        }
    }
}

#[test]
fn programs_run_under_valgrind_without_an_error_or_a_leak() {
    if std::env::var_os("IMGROUP_VALGRIND").is_none() {
        println!("set IMGROUP_VALGRIND to run this; `make check` does");
        return;
    }
    for program in PROGRAMS {
        execute(&compile(program, Link::Shared, "valgrind"), true);
    }
}

#[test]
fn programs_run_under_the_address_sanitizer_which_is_awake() {
    if sanitized_library().is_none() {
        println!("set IMGROUP_ASAN to run this; `make check-asan` does");
        return;
    }
    let bad = Command::new(compile("known_bad", Link::Sanitized, "asan")).output().unwrap();
    let report = String::from_utf8_lossy(&bad.stderr);
    assert!(!bad.status.success(), "a use after free went unnoticed");
    assert!(report.contains("heap-use-after-free"), "{report}");
    assert!(report.contains("imgroup_error_free"), "no stack of the library: {report}");
    for program in PROGRAMS {
        execute(&compile(program, Link::Sanitized, "asan"), false);
    }
}

#[test]
fn threads_meet_under_the_thread_sanitizer_which_is_awake() {
    if thread_sanitized_library().is_none() {
        println!("set IMGROUP_TSAN to run this; `make tsan` does");
        return;
    }
    let bad = Command::new(compile("known_race", Link::Threads, "tsan")).output().unwrap();
    let report = String::from_utf8_lossy(&bad.stderr);
    assert!(!bad.status.success(), "two writers at once went unnoticed");
    assert!(report.contains("data race"), "{report}");
    assert!(report.contains("imgroup_config_set_timeout_ms"), "no stack of the library: {report}");
    for program in ["threads", "jobs", "misuse"] {
        execute(&compile(program, Link::Threads, "tsan"), false);
    }
}
