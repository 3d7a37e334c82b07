//! Sequences of C calls: `c_api.c`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // SAFETY: `data` is borrowed for as long as the call takes.
    unsafe { imgroup_fuzz::c::fuzz_c_api(data.as_ptr(), data.len()) }
});
