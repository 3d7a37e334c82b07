//! The JSON around every reply, against another reading of the same bytes.

#![no_main]
#![forbid(unsafe_code)]

use imgroup::fuzzing::envelope;
use imgroup_fuzz::check_envelope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(read) = envelope(data) else { return };
    let Some(value) = check_envelope(data, read.code) else { return };

    if let Some(sequence) = read.sequence {
        assert_eq!(value["CurrentSequence"].as_u64(), Some(sequence));
    }
    if let Some(info) = value["ErrorInfo"].as_str() {
        assert_eq!(info, read.info);
    }
    let items = value["ResultItem"].as_array().map_or(&[][..], Vec::as_slice);
    if let Ok(lists) = &read.lists {
        assert_eq!(lists.len(), items.len());
        for (list, item) in lists.iter().zip(items) {
            assert_eq!(item["GroupName"].as_str(), Some(&*list.name));
            assert_eq!(item["To_Account"].as_array().map_or(0, Vec::len), list.members.len());
        }
    }
    if let Ok(friends) = &read.friends {
        assert_eq!(friends.len(), items.len());
        for (friend, item) in friends.iter().zip(items) {
            // A friend is never taken for a good one that the reply calls failed.
            assert_eq!(item["ResultCode"].as_i64().unwrap_or(0), i64::from(friend.code));
        }
    }
    // Said again without spaces and escapes, it means the same.
    let again = envelope(value.to_string().as_bytes()).expect("a reply that was understood");
    assert_eq!((again.code, again.sequence), (read.code, read.sequence));
    assert!(again.lists.is_ok() || read.lists.is_err());
    assert!(again.friends.is_ok() || read.friends.is_err());
});
