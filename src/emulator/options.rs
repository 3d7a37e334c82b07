//! What can be set: the app, the ports, and how undocumented points are answered.
//!
//! Where the documents are silent or contradict each other, there is a switch
//! instead of a guess, and each names its evidence. The defaults follow the
//! newest evidence, so that a test which passes unconfigured says something.

#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The app that the emulator serves unless told otherwise. It looks like a real
/// one and is none.
pub const DEMO_SDKAPPID: u32 = 1_400_000_000;
/// The demo app's key: obviously fake, and of the usual shape.
pub const DEMO_SECRET_KEY: &str = "00000000000000000000000000000000000000000000000000000000deadbeef";
/// The demo app's admin.
pub const DEMO_ADMIN: &str = "administrator";

/// How an emulator is started. `Options::default()` is the demo app on a free port.
#[derive(Clone)]
pub struct Options {
    /// The port for HTTP; 0 takes a free one.
    pub port: u16,
    /// HTTPS beside it.
    pub tls: Option<TlsOptions>,
    /// The app.
    pub sdkappid: u32,
    /// Its secret key, as printed.
    pub secret_key: String,
    /// Who may sign requests; the first one is named in the ready line.
    pub admins: Vec<String>,
    /// Requests a second of each command; account_check, account_delete and
    /// multiaccount_import get half. 0 lifts the limit.
    pub quota: u32,
    /// How long a write takes. While it does, another write on the same account
    /// is answered with 30008.
    pub write_time: Duration,
    /// When the gateway gives up on the service and answers 60008; zero never.
    pub gateway_timeout: Duration,
    /// When a connection without a request is closed; zero never.
    pub idle_timeout: Duration,
    /// The largest request body; a longer one is answered with HTTP 413.
    pub body_max: usize,
    /// How many requests the journal keeps in full.
    pub journal_max: usize,
    /// Accounts that exist from the start.
    pub seed_accounts: Vec<String>,
    /// A document as `GET /_emulator/state` gives it, loaded at the start.
    pub seed_state: Option<String>,
    /// The answers to open questions.
    pub policy: Policy,
}

/// HTTPS with an authority of its own, made anew at each start.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Where the authority's certificate is written; `None` is a file in the
    /// directory for temporary files, removed at the end.
    pub ca_file: Option<PathBuf>,
    /// What the server shows.
    pub certificate: Certificate,
    /// Which protocol versions it speaks.
    pub versions: TlsVersions,
}

/// The answers to questions that the documents leave open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// Deleting a list that does not exist.
    pub unknown_list: UnknownList,
    /// Adding a list that exists.
    pub existing_list: ExistingList,
    /// Putting somebody into a list who is not a friend.
    pub not_a_friend: NotAFriend,
    /// Deleting somebody who is not a friend.
    pub delete_not_a_friend: DeleteNotAFriend,
    /// A caller that is no admin.
    pub non_admin: NonAdmin,
    /// `ErrorInfo` on success.
    pub success_info: SuccessInfo,
    /// `ResultInfo` of an item on success.
    pub item_info: ItemInfo,
    /// Array members that would be empty.
    pub empty_arrays: EmptyArrays,
    /// Whether failed list calls carry `CurrentSequence`.
    pub failure_sequence: bool,
    /// How many accounts the app may have; 0 is no limit.
    pub account_limit: u32,
    /// Whether `account_delete` is allowed.
    pub account_delete: AccountDelete,
}

// Each switch is an enum whose values are spelled as on the command line.
macro_rules! switch {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$what])* $variant,)* }

        impl $name {
            /// Every value with its word.
            pub const ALL: &'static [(&'static str, $name)] = &[$(($word, $name::$variant)),*];
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<$name, String> {
                $name::ALL.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
                    let words: Vec<_> = $name::ALL.iter().map(|(name, _)| *name).collect();
                    format!("one of {} is expected", words.join(", "))
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (word, _) = $name::ALL.iter().find(|(_, value)| value == self).expect("ALL is complete");
                f.write_str(word)
            }
        }
    };
}

switch! {
    /// `group_delete` of a list that does not exist.
    UnknownList {
        /// It succeeds, and what exists is deleted: today's page lists no error for it.
        #[default] Ok = "ok",
        /// The whole call is refused with 30001, as neighbouring calls answer since 2019.
        InvalidParameters = "30001",
        /// The whole call is refused with 32309, as documented until 2018.
        NotFound = "32309",
    }
}

switch! {
    /// `group_add` of a list that exists.
    ExistingList {
        /// 30001: "names must not exist yet" (SDK documents), and private codes
        /// were folded into 30001 in 2019.
        #[default] InvalidParameters = "30001",
        /// 32218, as documented until 2018.
        Exists = "32218",
        /// It succeeds, and adds the members.
        Ok = "ok",
    }
}

switch! {
    /// `group_add` with somebody who is not a friend.
    NotAFriend {
        /// 30001, recorded from the live service in 2020.
        #[default] InvalidParameters = "30001",
        /// 32216, the sample on the page since 2017.
        NotFriend = "32216",
    }
}

switch! {
    /// `friend_delete` of somebody who is not a friend.
    DeleteNotAFriend {
        /// 31704, on the page and recorded from clients.
        #[default] NotFriend = "31704",
        /// 30001, by the vendor's FAQ.
        InvalidParameters = "30001",
    }
}

switch! {
    /// A caller with a good ticket who is no admin.
    NonAdmin {
        /// The gateway refuses it with 60010.
        #[default] Gateway = "60010",
        /// The relation service does, with 30004 (70403 in account commands),
        /// unless the caller acts on itself: one reading of the vendor's FAQ.
        Service = "30004",
    }
}

switch! {
    /// `ErrorInfo` on success.
    SuccessInfo {
        /// As on each page: `"0"` in group_delete and friend_delete, else empty.
        #[default] Documented = "documented",
        /// Always `"0"`.
        Zero = "0",
        /// Always empty.
        Empty = "empty",
    }
}

switch! {
    /// `ResultInfo` of an item on success.
    ItemInfo {
        /// As recorded from the live service in 2020: `"OK"` in friend_delete,
        /// black_list_add and black_list_delete, else empty.
        #[default] Observed = "observed",
        /// Always `"OK"`.
        Ok = "ok",
        /// Always empty, as the pages say.
        Empty = "empty",
    }
}

switch! {
    /// Array members that would be empty.
    EmptyArrays {
        /// Left out, as today (`To_Account` of an empty list is sent).
        #[default] Omit = "omit",
        /// Sent, as from 2016 to 2018, `Invalid_Account` included.
        Send = "send",
        /// Left out everywhere, `To_Account` of an empty list too.
        OmitAll = "omit-all",
    }
}

switch! {
    /// `account_delete`.
    AccountDelete {
        /// Allowed, as on the trial plan.
        #[default] Allow = "allow",
        /// Refused with 71000, as on a paid plan.
        Refuse = "71000",
    }
}

switch! {
    /// The certificate of the HTTPS side. All but the first are for testing clients.
    Certificate {
        /// For localhost and 127.0.0.1, signed by the authority.
        #[default] Valid = "valid",
        /// Expired yesterday.
        Expired = "expired",
        /// Valid from tomorrow on.
        Future = "future",
        /// For another host.
        OtherName = "other-name",
        /// Signed by itself.
        SelfSigned = "self-signed",
    }
}

switch! {
    /// The protocol versions of the HTTPS side.
    TlsVersions {
        /// 1.2 and 1.3.
        #[default] Both = "both",
        /// 1.2 only.
        Tls12 = "1.2",
        /// 1.3 only.
        Tls13 = "1.3",
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            port: 0,
            tls: None,
            sdkappid: DEMO_SDKAPPID,
            secret_key: DEMO_SECRET_KEY.into(),
            admins: vec![DEMO_ADMIN.into()],
            quota: 200,
            write_time: Duration::from_millis(1),
            gateway_timeout: Duration::ZERO,
            idle_timeout: Duration::from_secs(75),
            body_max: 4 << 20,
            journal_max: 10_000,
            seed_accounts: Vec::new(),
            seed_state: None,
            policy: Policy::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key may be a real one.
        f.debug_struct("Options")
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("sdkappid", &self.sdkappid)
            .field("secret_key", &format_args!("{} bytes", self.secret_key.len()))
            .field("admins", &self.admins)
            .field("quota", &self.quota)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_read_as_they_are_printed() {
        for (word, value) in UnknownList::ALL {
            assert_eq!(word.parse::<UnknownList>().unwrap(), *value);
            assert_eq!(value.to_string(), *word);
        }
        assert_eq!("strict".parse::<UnknownList>().unwrap_err(), "one of ok, 30001, 32309 is expected");
    }

    #[test]
    fn debug_text_hides_the_key() {
        let options = Options { secret_key: "secret".repeat(8), ..Options::default() };
        assert!(!format!("{options:?}").contains("secretsecret"));
    }
}
