//! Another Rust library in the same program: it brings its own copy of the
//! standard library, and panics of its own.

#![crate_type = "staticlib"]

use std::collections::HashMap;
use std::panic;

#[unsafe(no_mangle)]
pub extern "C" fn second_count(number: u32) -> u32 {
    let words: HashMap<u32, String> = (0..number).map(|n| (n, format!("word {n}"))).collect();
    panic::set_hook(Box::new(|_| {}));
    let caught = panic::catch_unwind(|| panic!("planted")).is_err();
    words.len() as u32 + u32::from(caught)
}
