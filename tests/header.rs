//! The checked-in header is what cbindgen makes of `src/ffi`.

#[allow(dead_code)]
#[path = "../build.rs"]
mod build;

#[test]
fn the_header_is_up_to_date() {
    let directory = env!("CARGO_MANIFEST_DIR");
    let stored = std::fs::read_to_string(format!("{directory}/include/imgroup.h")).unwrap();
    assert!(stored == build::header(directory), "include/imgroup.h is stale: run `make header`");
}
