//! The targets that are written in C, with the sanitizer and the counters that
//! `run.py` has cargo put into everything else.

fn main() {
    println!("cargo:rerun-if-changed=../include/imgroup.h");
    let mut build = cc::Build::new();
    for file in ["c_api.c", "known_bad.c"] {
        println!("cargo:rerun-if-changed={file}");
        build.file(file);
    }
    // The kind of counters that libFuzzer reads is clang's own.
    build.compiler("clang").include("../include").flag("-std=c11").define("_GNU_SOURCE", None);
    build.flag("-fno-omit-frame-pointer").flag("-g").extra_warnings(true).warnings_into_errors(true);
    build.flag("-fsanitize=address");
    build.flag("-fsanitize-coverage=inline-8bit-counters,pc-table,trace-cmp");
    build.compile("imgroup_fuzz_c");
}
