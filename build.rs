//! Gives the shared library its name, and writes the C header on request.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    link_arguments();
    #[cfg(feature = "header")]
    {
        println!("cargo::rerun-if-changed=src/ffi");
        println!("cargo::rerun-if-changed=cbindgen.toml");
        let directory = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
        let path = format!("{directory}/include/imgroup.h");
        std::fs::write(path, header(&directory)).expect("include/ is writable");
    }
}

/// Plain cargo gives a cdylib no SONAME. The rule is cargo-c's, which passes the
/// name itself: `0.MINOR` before 1.0, `MAJOR` after.
fn link_arguments() {
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let abi = if major == "0" { format!("0.{minor}") } else { major.to_owned() };
    if env::var_os("CARGO_FEATURE_CAPI").is_none() {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libimgroup.so.{abi}");
    }
    // A Rust library has thread-locals with destructors: it must stay loaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}

/// The text of `include/imgroup.h`. The header test calls this too.
#[cfg(any(feature = "header", test))]
pub fn header(directory: &str) -> String {
    let mut config =
        cbindgen::Config::from_file(format!("{directory}/cbindgen.toml")).expect("cbindgen.toml");
    let number = |text: &str| text.parse::<u32>().expect("a version is made of numbers");
    let (major, minor, patch) = (
        number(env!("CARGO_PKG_VERSION_MAJOR")),
        number(env!("CARGO_PKG_VERSION_MINOR")),
        number(env!("CARGO_PKG_VERSION_PATCH")),
    );
    let macros = format!(
        "#define IMGROUP_VERSION_MAJOR {major}\n\
         #define IMGROUP_VERSION_MINOR {minor}\n\
         #define IMGROUP_VERSION_PATCH {patch}\n\
         /** MAJOR * 1000000 + MINOR * 1000 + PATCH */\n\
         #define IMGROUP_VERSION_NUMBER {}",
        major * 1_000_000 + minor * 1_000 + patch
    );
    config.after_includes = config.after_includes.map(|text| text.replace("@VERSION@", &macros));
    let mut text = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(format!("{directory}/src/ffi/mod.rs"))
        .generate()
        .expect("src/ffi is what cbindgen understands")
        .write(&mut text);
    String::from_utf8(text).expect("the header is UTF-8")
}
