//! The journal of a job. The first byte chooses: any bytes; any bytes whose sums are
//! right; or a journal that was written, with one place damaged or the end cut off.

#![no_main]
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use imgroup::bulk::door::{Line, mend, read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    match choice % 3 {
        0 => any(rest),
        1 => any(&mend(rest).unwrap_or_default()),
        _ => damaged(rest),
    }
});

/// What is read is read again from the part that was whole.
fn any(bytes: &[u8]) {
    let Ok(found) = read(bytes) else { return };
    assert!(found.whole <= bytes.len() as u64);
    assert_eq!(read(&bytes[..found.whole as usize]), Ok(found));
}

/// Nothing that was recorded is read as something else, wherever it is damaged.
fn damaged(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return };
    let units = u32::from(head[0]) + 1;
    let line = |pair: &[u8; 2]| -> Line {
        (u32::from(pair[0]) % units, (pair[1] < 128).then(|| i32::from(pair[1]) - 1))
    };
    let mut lines: Vec<Line> = rest.as_chunks().0.iter().map(line).collect();
    // What ended is not begun again.
    let mut ended = BTreeSet::new();
    lines.retain(|&(unit, code)| !ended.contains(&unit) && (code.is_none() || ended.insert(unit)));
    let whole = write(units, &lines);
    let found = read(&whole).unwrap();
    assert_eq!((found.records, found.whole), (lines.len() as u64, whole.len() as u64));
    for unit in 0..units {
        let last = lines.iter().rev().find_map(|&(of, code)| (of == unit).then_some(code).flatten());
        assert_eq!(found.ended[unit as usize], last.map(|code| code as u32), "unit {unit}");
        let open = lines.iter().rev().find(|(of, _)| *of == unit).is_some_and(|(_, code)| code.is_none());
        assert_eq!(found.open.contains(&unit), open, "unit {unit}");
    }

    let place = (usize::from(head[1]) << 8 | usize::from(head[2])) % whole.len();
    if head[3] == 0 {
        // A write that was cut short: all before it holds.
        if let Ok(kept) = read(&whole[..place]) {
            assert!(kept.records < found.records || place == whole.len());
            assert_eq!(write(units, &lines[..kept.records as usize]), whole[..kept.whole as usize]);
        }
    } else {
        let mut bytes = whole.clone();
        bytes[place] ^= head[3];
        if let Ok(kept) = read(&bytes) {
            // The last record counts as cut short; nothing else passes.
            assert_eq!(kept.records + 1, found.records);
            assert!(place >= kept.whole as usize);
        }
    }
}
