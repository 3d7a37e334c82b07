//! What the repository promises about itself: where `unsafe` may stand, which
//! numbers never change, which compiler is enough.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All sources of the library and the command, by their path below `src`.
fn sources() -> Vec<(String, String)> {
    let source = Path::new(ROOT).join("src");
    let (mut folders, mut files) = (vec![source.clone()], Vec::<PathBuf>::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|path| (path.strip_prefix(&source).unwrap().display().to_string(), read(path))).collect()
}

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap()
}

/// Whether a line opens a block, or an implementation, that the compiler does not
/// check. A function only says that it is to be called in one.
fn opens_unsafe(line: &str) -> bool {
    let code = code(line);
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].trim_start();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && (after.starts_with('{') || after.starts_with("impl"))
    })
}

fn may_be_unsafe(path: &str) -> bool {
    path.starts_with("ffi/") || path.starts_with("sys/")
}

#[test]
fn every_module_but_ffi_and_sys_forbids_unsafe() {
    let sources = sources();
    assert!(sources.len() > 50, "{}", sources.len());
    for (path, source) in &sources {
        if may_be_unsafe(path) {
            continue;
        }
        assert!(!source.lines().any(opens_unsafe), "src/{path}: unsafe");
        // lib.rs cannot forbid it, as ffi and sys are below it.
        let first = source.lines().find(|line| !line.starts_with("//") && !line.is_empty());
        if path != "lib.rs" {
            assert_eq!(first, Some("#![forbid(unsafe_code)]"), "src/{path}");
        }
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut blocks = 0;
    for (path, source) in sources().iter().filter(|(path, _)| may_be_unsafe(path)) {
        let lines: Vec<&str> = source.lines().collect();
        for (index, _) in lines.iter().enumerate().filter(|(_, line)| opens_unsafe(line)) {
            blocks += 1;
            // The comment stands above the statement that the block is part of.
            let above = lines[..index].iter().rev().map(|line| line.trim());
            let explained = above
                .take_while(|line| {
                    !line.ends_with(';') && !line.ends_with('}') && !line.is_empty() && !line.contains("fn ")
                })
                .any(|line| line.starts_with("// SAFETY: "));
            assert!(explained, "src/{path}:{}: no SAFETY comment above", index + 1);
        }
    }
    assert!(blocks > 50, "{blocks}");
}

/// Rows are added; none is ever changed or taken away.
const CODES: &[(&str, i32)] = &[
    ("IMGROUP_OK", 0),
    ("IMGROUP_E_INVALID_ARGUMENT", -1),
    ("IMGROUP_E_INVALID_UTF8", -2),
    ("IMGROUP_E_HANDLE", -3),
    ("IMGROUP_E_CONFIG", -4),
    ("IMGROUP_E_DNS", -10),
    ("IMGROUP_E_CONNECT", -11),
    ("IMGROUP_E_TLS", -12),
    ("IMGROUP_E_IO", -13),
    ("IMGROUP_E_HTTP_STATUS", -14),
    ("IMGROUP_E_BAD_REPLY", -15),
    ("IMGROUP_E_DEADLINE", -20),
    ("IMGROUP_E_CANCELLED", -21),
    ("IMGROUP_E_SHUTDOWN", -22),
    ("IMGROUP_E_QUOTA", -23),
    ("IMGROUP_E_RESOURCE", -30),
    ("IMGROUP_E_PANIC", -31),
    ("IMGROUP_E_JOB_MISMATCH", -40),
    ("IMGROUP_E_JOB_BUSY", -41),
    ("IMGROUP_E_JOB_CORRUPT", -42),
    ("IMGROUP_E_JOB_STOPPED", -43),
];

/// Classes, outcomes and all other numbers: the same rule.
const CLASSES: &[(&str, i32)] = &[
    ("IMGROUP_CLASS_ARGUMENT", 1),
    ("IMGROUP_CLASS_NETWORK", 2),
    ("IMGROUP_CLASS_DEADLINE", 3),
    ("IMGROUP_CLASS_CANCELLED", 4),
    ("IMGROUP_CLASS_THROTTLED", 5),
    ("IMGROUP_CLASS_AUTH", 6),
    ("IMGROUP_CLASS_NOT_FOUND", 7),
    ("IMGROUP_CLASS_SERVER", 8),
    ("IMGROUP_CLASS_INTERNAL", 9),
];
const OUTCOMES: &[(&str, i32)] =
    &[("IMGROUP_OUTCOME_NOT_SENT", 0), ("IMGROUP_OUTCOME_REJECTED", 1), ("IMGROUP_OUTCOME_UNKNOWN", 2)];
const REQUEST_FLAGS: &[(&str, i32)] = &[("IMGROUP_REQUEST_IDEMPOTENT", 1)];
const LOG_LEVELS: &[(&str, i32)] = &[
    ("IMGROUP_LOG_ERROR", 1),
    ("IMGROUP_LOG_WARNING", 2),
    ("IMGROUP_LOG_INFO", 3),
    ("IMGROUP_LOG_DEBUG", 4),
];
const JOB_COMMANDS: &[(&str, i32)] = &[("IMGROUP_JOB_DELETE", 1), ("IMGROUP_JOB_EXPORT", 2)];
const JOB_COUNTERS: &[(&str, i32)] = &[
    ("IMGROUP_JOB_ROWS", 1),
    ("IMGROUP_JOB_DONE", 2),
    ("IMGROUP_JOB_ALREADY_GONE", 3),
    ("IMGROUP_JOB_FAILED", 4),
    ("IMGROUP_JOB_UNKNOWN", 5),
    ("IMGROUP_JOB_RESUMED", 6),
    ("IMGROUP_JOB_REQUESTS", 7),
    ("IMGROUP_JOB_CONNECTIONS", 8),
    ("IMGROUP_JOB_WAITED_MS", 9),
    ("IMGROUP_JOB_ELAPSED_MS", 10),
];

/// The enumerations of the header, by name.
fn enumerations() -> Vec<(String, Vec<(String, i32)>)> {
    let header = read("include/imgroup.h");
    let bodies = header.split("typedef enum {").skip(1);
    bodies
        .map(|body| {
            let (members, after) = body.split_once("\n} ").unwrap();
            let members = members.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
            let name = after.split(';').next().unwrap();
            (name.to_owned(), members.map(|(name, n)| (name.to_owned(), n.parse().unwrap())).collect())
        })
        .collect()
}

#[test]
fn numbers_of_the_header_never_change() {
    let kept = [
        ("imgroup_code", CODES),
        ("imgroup_class", CLASSES),
        ("imgroup_outcome", OUTCOMES),
        ("imgroup_request_flag", REQUEST_FLAGS),
        ("imgroup_log_level", LOG_LEVELS),
        ("imgroup_job_command", JOB_COMMANDS),
        ("imgroup_job_counter", JOB_COUNTERS),
    ];
    let declared = enumerations();
    for (name, members) in &declared {
        let rows = kept.iter().find(|(kept, _)| kept == name).map(|(_, rows)| *rows);
        let members: Vec<(&str, i32)> =
            members.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        assert_eq!(
            Some(&members[..]),
            rows,
            "{name}: a new number is a new row here; an old row stays as it is"
        );
    }
    assert_eq!(declared.len(), kept.len());
}

#[test]
fn the_core_has_the_numbers_of_the_header() {
    for &(name, number) in CODES {
        let row = imgroup::codes::CODES.iter().find(|row| row.number == number);
        assert_eq!(row.map(|row| row.name), Some(name), "{number}");
    }
    use imgroup::codes::Class::*;
    let classes = [Argument, Network, Deadline, Cancelled, Throttled, Auth, NotFound, Server, Internal];
    let name = |class: imgroup::codes::Class| format!("IMGROUP_CLASS_{}", class.name().to_uppercase());
    let classes: Vec<_> = classes.map(|class| (name(class), class as i32)).into();
    assert_eq!(classes, CLASSES.iter().map(|&(name, number)| (name.to_owned(), number)).collect::<Vec<_>>());
    use imgroup::error::Outcome::*;
    let outcomes = [NotSent, Rejected, Unknown];
    let outcomes: Vec<_> =
        outcomes.map(|outcome| (format!("IMGROUP_OUTCOME_{}", outcome.name()), outcome as i32)).into();
    assert_eq!(
        outcomes,
        OUTCOMES.iter().map(|&(name, number)| (name.to_owned(), number)).collect::<Vec<_>>()
    );
}

#[test]
fn the_lock_file_is_committed() {
    let ignored = read(".gitignore");
    assert!(!ignored.contains("Cargo.lock"), "Cargo.lock is ignored");
    assert!(read("Cargo.lock").contains("name = \"imgroup\""));
    let git = std::process::Command::new("git").args(["ls-files", "Cargo.lock"]).current_dir(ROOT).output();
    // A release archive has no git, but has the file.
    if let Ok(listed) = git
        && listed.status.success()
    {
        assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), "Cargo.lock");
    }
}

#[test]
fn one_version_of_rust_is_named_everywhere() {
    let manifest = read("Cargo.toml");
    let version = manifest.split("rust-version = \"").nth(1).unwrap().split('"').next().unwrap();
    for path in ["README.md", "CONTRIBUTING.md", "packaging/need.sh"] {
        let text = read(path);
        let named: Vec<&str> = text
            .split("Rust 1.")
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap())
            .collect();
        assert!(!named.is_empty(), "{path} does not name the version of Rust");
        for minor in named {
            assert_eq!(format!("1.{minor}"), version, "{path}");
        }
    }
}

#[test]
fn every_test_named_in_the_threat_model_exists() {
    let security = read("SECURITY.md");
    let table =
        security.split("| promise | held by |").nth(1).expect("the table").split("\n\n").next().unwrap();
    let mut code: String = sources().into_iter().map(|(_, source)| source).collect();
    for entry in std::fs::read_dir(Path::new(ROOT).join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            code += &read(path);
        }
    }
    let makefile = read("Makefile");
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let tests: Vec<&str> = row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test for: {row}");
        for name in tests {
            let exists = code.contains(&format!("    fn {name}()"))
                || code.contains(&format!("\nfn {name}()"))
                || makefile.contains(&format!("\n{name}:"));
            assert!(exists, "SECURITY.md names {name}, which is neither a test nor a target");
        }
    }
}
