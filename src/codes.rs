//! Every code this library can return: its name, what it means, what became of
//! the request, whether to try again, and what a caller can do about it.
//!
//! This table is the only place for those facts. The C function
//! `imgroup_code_name`, the retry policy, the error classes, the emulator and
//! the manual all read it.
//!
//! Negative codes are raised here, positive ones are the server's `ErrorCode`,
//! unchanged. Numbers are never reused. Server names are the vendor's own, from
//! `TIMErrorCode.h` of its client SDK; a few gateway codes have none there and
//! are named in the same manner.

#![forbid(unsafe_code)]

/// What kind of failure a code is. Wrappers choose their exception by it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Class {
    /// The caller's argument or configuration breaks a rule, or the service
    /// refused a value.
    Argument = 1,
    /// The service could not be reached, or the reply was lost.
    Network = 2,
    /// The deadline passed.
    Deadline = 3,
    /// The caller cancelled, or shut the client down.
    Cancelled = 4,
    /// Too many requests for the quota of the app.
    Throttled = 5,
    /// Credentials, permissions or the state of the app.
    Auth = 6,
    /// The account, friend or list does not exist.
    NotFound = 7,
    /// The service failed, or its reply makes no sense.
    Server = 8,
    /// This library or the process ran out of something.
    Internal = 9,
}

impl Class {
    /// The class as one lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Class::Argument => "argument",
            Class::Network => "network",
            Class::Deadline => "deadline",
            Class::Cancelled => "cancelled",
            Class::Throttled => "throttled",
            Class::Auth => "auth",
            Class::NotFound => "not_found",
            Class::Server => "server",
            Class::Internal => "internal",
        }
    }
}

/// What a reply with this code says about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It was not applied.
    Definite,
    /// It may have been applied.
    Ambiguous,
}

/// Which rule of the retry policy a code falls under (see `retry.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Sending the same request again would not help.
    Never,
    /// The request did not leave: always safe to repeat.
    NotSent,
    /// The request may have been applied: repeated only when that does no harm.
    Ambiguous,
    /// Two writes met on one account.
    Conflict,
    /// Over the quota: repeated after lowering the pace.
    Throttled,
    /// The ticket ran out: repeated once with a new one.
    Ticket,
    /// The credentials are wrong: answered locally for a minute.
    Fatal,
}

/// One row of the table.
#[derive(Debug)]
pub struct Code {
    /// The number, as returned through the C ABI.
    pub number: i32,
    /// Its symbolic name.
    pub name: &'static str,
    /// What it means, as a sentence without a full stop.
    pub meaning: &'static str,
    /// What kind of failure it is.
    pub class: Class,
    /// Whether the request may have been applied.
    pub certainty: Certainty,
    /// How the retry policy treats it.
    pub retry: Retry,
    /// What the caller can do, as a sentence without a full stop.
    pub advice: &'static str,
}

macro_rules! local_codes {
    ($($name:ident = $number:literal,)*) => {
        $(
            #[doc = concat!("See the row of `", stringify!($name), "` in [`CODES`].")]
            pub const $name: i32 = $number;
        )*
    };
}

local_codes! {
    OK = 0,
    INVALID_ARGUMENT = -1,
    INVALID_UTF8 = -2,
    HANDLE = -3,
    CONFIG = -4,
    DNS = -10,
    CONNECT = -11,
    TLS = -12,
    IO = -13,
    HTTP_STATUS = -14,
    BAD_REPLY = -15,
    DEADLINE = -20,
    CANCELLED = -21,
    SHUTDOWN = -22,
    QUOTA = -23,
    RESOURCE = -30,
    PANIC = -31,
    JOB_MISMATCH = -40,
    JOB_BUSY = -41,
    JOB_CORRUPT = -42,
    JOB_STOPPED = -43,
}

/// A parameter is wrong, or something is already there or not there.
pub const INVALID_PARAMETERS: i32 = 30001;
/// The list to delete does not exist; documented until 2018.
pub const LIST_NOT_FOUND: i32 = 32309;

use Certainty::{Ambiguous, Definite};
use Class::*;

macro_rules! table {
    ($($number:expr, $name:literal, $class:ident, $certainty:ident, $retry:ident, $meaning:literal, $advice:literal;)*) => {
        /// Every known code, ordered by number.
        pub static CODES: &[Code] = &[$(Code {
            number: $number,
            name: $name,
            meaning: $meaning,
            class: $class,
            certainty: $certainty,
            retry: Retry::$retry,
            advice: $advice,
        }),*];
    };
}

#[rustfmt::skip]
table! {
    JOB_STOPPED, "IMGROUP_E_JOB_STOPPED", Cancelled, Definite, Never, "the job stopped before its end and can be resumed", "run the same job with the same journal again";
    JOB_CORRUPT, "IMGROUP_E_JOB_CORRUPT", Internal, Definite, Never, "the journal is damaged before its last record", "keep the journal for inspection and start with a new one";
    JOB_BUSY, "IMGROUP_E_JOB_BUSY", Argument, Definite, Never, "another run holds this journal", "wait for the other run, or give this one its own journal";
    JOB_MISMATCH, "IMGROUP_E_JOB_MISMATCH", Argument, Definite, Never, "the journal belongs to another job", "give the input and options the journal was started with, or a new journal";
    PANIC, "IMGROUP_E_PANIC", Internal, Ambiguous, Never, "an internal error of the library was caught", "report it with the message";
    RESOURCE, "IMGROUP_E_RESOURCE", Internal, Definite, Never, "the process ran out of descriptors, threads or memory", "raise the limit, or use fewer at once";
    QUOTA, "IMGROUP_E_QUOTA", Throttled, Definite, Never, "no quota slot could be had", "lower the load, or allow a longer deadline";
    SHUTDOWN, "IMGROUP_E_SHUTDOWN", Cancelled, Definite, Never, "the client was shut down", "make a new client";
    CANCELLED, "IMGROUP_E_CANCELLED", Cancelled, Definite, Never, "the call was cancelled", "reset the call handle before using it again";
    DEADLINE, "IMGROUP_E_DEADLINE", Deadline, Ambiguous, Ambiguous, "the time for the call or an attempt ran out", "look at the outcome before repeating; allow more time if this is frequent";
    BAD_REPLY, "IMGROUP_E_BAD_REPLY", Server, Ambiguous, Ambiguous, "the reply could not be understood", "check that the endpoint is the IM REST API";
    HTTP_STATUS, "IMGROUP_E_HTTP_STATUS", Server, Ambiguous, Never, "the reply had an HTTP status other than 200", "see the HTTP status; something between here and the service may have answered";
    IO, "IMGROUP_E_IO", Network, Ambiguous, Ambiguous, "the connection broke before the reply was complete", "look at the outcome before repeating";
    TLS, "IMGROUP_E_TLS", Network, Definite, Never, "no trusted TLS connection could be made", "check the certificate authority, the host name and the local clock";
    CONNECT, "IMGROUP_E_CONNECT", Network, Definite, NotSent, "the host could not be connected", "check the endpoint and the network";
    DNS, "IMGROUP_E_DNS", Network, Definite, NotSent, "the host name could not be resolved", "check the endpoint and the resolver";
    CONFIG, "IMGROUP_E_CONFIG", Argument, Definite, Never, "the configuration is wrong or incomplete", "correct the named setting";
    HANDLE, "IMGROUP_E_HANDLE", Argument, Definite, Never, "the handle is NULL or of another type", "pass the handle the parameter asks for";
    INVALID_UTF8, "IMGROUP_E_INVALID_UTF8", Argument, Definite, Never, "a text is not valid UTF-8", "encode the named parameter as UTF-8";
    INVALID_ARGUMENT, "IMGROUP_E_INVALID_ARGUMENT", Argument, Definite, Never, "an argument breaks a rule", "correct the named parameter";
    OK, "IMGROUP_OK", Internal, Definite, Never, "success", "nothing";
    10002, "ERR_SVR_GROUP_INTERNAL_ERROR", Server, Ambiguous, Never, "internal error of the group service", "try again later";
    30001, "ERR_SVR_FRIENDSHIP_INVALID_PARAMETERS", Argument, Definite, Never, "a request parameter is wrong, or what is asked for is already there or not there", "see the message of the server";
    30002, "ERR_SVR_FRIENDSHIP_INVALID_SDKAPPID", Argument, Definite, Never, "the SDKAppID does not match", "check the sdkappid";
    30003, "ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND", NotFound, Definite, Never, "the account does not exist", "import the account first";
    30004, "ERR_SVR_FRIENDSHIP_ADMIN_REQUIRED", Auth, Definite, Never, "the request needs an app admin", "sign as an app admin";
    30005, "ERR_SVR_FRIENDSHIP_SENSITIVE_TEXT", Argument, Definite, Never, "a field contains a sensitive word", "change the text";
    30006, "ERR_SVR_FRIENDSHIP_INTERNAL_ERROR", Server, Ambiguous, Ambiguous, "internal error of the relationship service", "try again";
    30007, "ERR_SVR_FRIENDSHIP_NET_TIMEOUT", Server, Ambiguous, Ambiguous, "a network timeout inside the service", "try again later";
    30008, "ERR_SVR_FRIENDSHIP_WRITE_CONFLICT", Server, Definite, Conflict, "concurrent writes on one account met", "write to an account from one place at a time, several lists in one call";
    30009, "ERR_SVR_FRIENDSHIP_ADD_FRIEND_DENY", Auth, Definite, Never, "this account may not send friend requests", "lift the restriction in the console";
    30010, "ERR_SVR_FRIENDSHIP_COUNT_LIMIT", Argument, Definite, Never, "the account has as many friends as it may", "remove friends first";
    30011, "ERR_SVR_FRIENDSHIP_GROUP_COUNT_LIMIT", Argument, Definite, Never, "the account has as many lists as it may (32)", "delete lists first";
    30012, "ERR_SVR_FRIENDSHIP_PENDENCY_LIMIT", Argument, Definite, Never, "the account has as many pending requests as it may", "handle pending requests first";
    30013, "ERR_SVR_FRIENDSHIP_BLACKLIST_LIMIT", Argument, Definite, Never, "the blocklist is full", "remove entries first";
    30014, "ERR_SVR_FRIENDSHIP_PEER_FRIEND_LIMIT", Argument, Definite, Never, "the other account has as many friends as it may", "nothing can be done from this side";
    30515, "ERR_SVR_FRIENDSHIP_IN_SELF_BLACKLIST", Argument, Definite, Never, "the other account is in this account's blocklist", "remove it from the blocklist first";
    30516, "ERR_SVR_FRIENDSHIP_ALLOW_TYPE_DENY_ANY", Argument, Definite, Never, "the other account accepts no friends", "nothing can be done from this side";
    30525, "ERR_SVR_FRIENDSHIP_IN_PEER_BLACKLIST", Argument, Definite, Never, "this account is in the other account's blocklist", "nothing can be done from this side";
    30539, "ERR_SVR_FRIENDSHIP_ALLOW_TYPE_NEED_CONFIRM", Argument, Definite, Never, "a pending request was made; the other account has to confirm", "wait for the confirmation";
    30540, "ERR_SVR_FRIENDSHIP_ADD_FRIEND_SEC_RSTR", Throttled, Definite, Never, "adding a friend met the security policy", "add friends less often";
    30614, "ERR_SVR_FRIENDSHIP_PENDENCY_NOT_FOUND", NotFound, Definite, Never, "the pending request does not exist", "read the pending requests again";
    31704, "ERR_SVR_FRIENDSHIP_DEL_NONFRIEND", NotFound, Definite, Never, "the account to delete is not a friend", "nothing: it is not there";
    31707, "ERR_SVR_FRIENDSHIP_DEL_FRIEND_SEC_RSTR", Throttled, Definite, Never, "deleting a friend met the security policy", "delete friends less often";
    31804, "ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND_EX", NotFound, Definite, Never, "the account does not exist", "import the account first";
    32216, "ERR_SVR_FRIENDSHIP_GROUP_ADD_NOT_FRIEND", NotFound, Definite, Never, "the account to put into a list is not a friend", "add the friend first";
    32218, "ERR_SVR_FRIENDSHIP_GROUP_EXISTS", Argument, Definite, Never, "the list exists already", "choose another name";
    32301, "ERR_SVR_FRIENDSHIP_GROUP_DELETE_COUNT", Argument, Definite, Never, "the number of lists is outside 1 to 32", "name 1 to 32 lists";
    32302, "ERR_SVR_FRIENDSHIP_GROUP_DELETE_NAME_LENGTH", Argument, Definite, Never, "the length of a list name is outside 1 to 30 bytes", "shorten the name";
    LIST_NOT_FOUND, "ERR_SVR_FRIENDSHIP_GROUP_DELETE_NOT_FOUND", NotFound, Definite, Never, "a list to delete does not exist", "read the lists, or set ignore_missing";
    40001, "ERR_SVR_PROFILE_INVALID_PARAMETERS", Argument, Definite, Never, "a profile parameter is wrong", "see the message of the server";
    40003, "ERR_SVR_PROFILE_ACCOUNT_NOT_FOUND", NotFound, Definite, Never, "the account does not exist", "import the account first";
    40004, "ERR_SVR_PROFILE_ADMIN_REQUIRED", Auth, Definite, Never, "the request needs an app admin", "sign as an app admin";
    40005, "ERR_SVR_PROFILE_SENSITIVE_TEXT", Argument, Definite, Never, "a profile field contains a sensitive word", "change the text";
    40006, "ERR_SVR_PROFILE_INTERNAL_ERROR", Server, Ambiguous, Never, "internal error of the profile service", "try again later";
    40601, "ERR_SVR_PROFILE_SIZE_LIMIT", Argument, Definite, Never, "a profile value is longer than 500 bytes", "shorten the value";
    60002, "ERR_SVR_COMM_HTTP_PARSE_FAILED", Argument, Definite, Never, "the HTTP request could not be parsed", "check the URL and the method";
    60003, "ERR_SVR_COMM_REQUEST_JSON_PARSE_FAILED", Argument, Definite, Never, "the JSON of the request could not be parsed", "check the body";
    60004, "ERR_SVR_COMM_INVALID_ACCOUNT", Auth, Definite, Fatal, "the identifier or the UserSig is wrong", "check the identifier and the secret key";
    60005, "ERR_SVR_COMM_INVALID_ACCOUNT_EX", Auth, Definite, Fatal, "the identifier or the UserSig is wrong", "check the identifier and the secret key";
    60006, "ERR_SVR_COMM_INVALID_SDKAPPID", Auth, Definite, Fatal, "the SDKAppID is not valid", "check the sdkappid";
    60007, "ERR_SVR_COMM_REST_FREQ_LIMIT", Throttled, Definite, Throttled, "this command is called more often than allowed", "lower the rate; the quota is per app, over all machines";
    60008, "ERR_SVR_COMM_REQUEST_TIMEOUT", Server, Ambiguous, Ambiguous, "the service timed out, or the HTTP request was malformed", "try again; if it is the first call ever, check the request";
    60009, "ERR_SVR_COMM_INVALID_RES", Argument, Definite, Never, "there is no such command", "check service and command";
    60010, "ERR_SVR_COMM_ID_NOT_ADMIN", Auth, Definite, Fatal, "the identifier is not an app admin", "use an app admin as identifier";
    60011, "ERR_SVR_COMM_SDKAPPID_FREQ_LIMIT", Throttled, Definite, Throttled, "the app calls more often than allowed", "lower the rate over all commands";
    60012, "ERR_SVR_COMM_SDKAPPID_MISS", Auth, Definite, Fatal, "the request carried no SDKAppID", "check the sdkappid";
    60013, "ERR_SVR_COMM_RSP_JSON_PARSE_FAILED", Server, Ambiguous, Ambiguous, "the service could not parse its own reply", "look at the outcome before repeating";
    60014, "ERR_SVR_COMM_EXCHANGE_ACCOUNT_TIMEOUT", Server, Ambiguous, Ambiguous, "translating the account timed out", "try again";
    60015, "ERR_SVR_COMM_INVALID_ID_FORMAT", Argument, Definite, Never, "an account in the body is not a string", "write accounts as strings";
    60016, "ERR_SVR_COMM_SDKAPPID_FORBIDDEN", Auth, Definite, Fatal, "the SDKAppID is disabled", "ask the vendor";
    60017, "ERR_SVR_COMM_REQ_FORBIDDEN", Auth, Definite, Fatal, "the request is disabled", "ask the vendor";
    60018, "ERR_SVR_COMM_REQ_FREQ_LIMIT", Throttled, Definite, Throttled, "requests come too often", "lower the rate";
    60019, "ERR_SVR_COMM_REQ_FREQ_LIMIT_EX", Throttled, Definite, Throttled, "requests come too often", "lower the rate";
    60020, "ERR_SVR_COMM_INVALID_SERVICE", Auth, Definite, Fatal, "no plan is active for the app", "buy a plan; it becomes active in about five minutes";
    60021, "ERR_SVR_COMM_IP_NOT_ALLOWED", Auth, Definite, Fatal, "the IP address of the caller is not allowed", "add it to the allow-list in the console";
    70001, "ERR_SVR_ACCOUNT_USERSIG_EXPIRED", Auth, Definite, Ticket, "the UserSig expired", "check the local clock; choose a life of 24 hours or more";
    70002, "ERR_SVR_ACCOUNT_USERSIG_EMPTY", Auth, Definite, Fatal, "the UserSig is empty", "check the secret key";
    70003, "ERR_SVR_ACCOUNT_USERSIG_CHECK_FAILED", Auth, Definite, Fatal, "the UserSig could not be parsed", "check whether it was cut short on its way";
    70005, "ERR_SVR_ACCOUNT_USERSIG_CHECK_FAILED_EX", Auth, Definite, Fatal, "the UserSig is not valid", "check the secret key";
    70009, "ERR_SVR_ACCOUNT_USERSIG_MISMATCH_PUBLICKEY", Auth, Definite, Fatal, "the UserSig was not made with the key of this app", "check that secret key and sdkappid belong together";
    70013, "ERR_SVR_ACCOUNT_USERSIG_MISMATCH_ID", Auth, Definite, Fatal, "the UserSig was made for another identifier", "sign for the identifier of the request";
    70014, "ERR_SVR_ACCOUNT_USERSIG_MISMATCH_SDKAPPID", Auth, Definite, Fatal, "the UserSig was made for another app", "sign for the sdkappid of the request";
    70016, "ERR_SVR_ACCOUNT_USERSIG_PUBLICKEY_NOT_FOUND", Auth, Definite, Fatal, "the service has no key for this app", "check the sdkappid and the region";
    70020, "ERR_SVR_ACCOUNT_SDKAPPID_NOT_FOUND", Auth, Definite, Fatal, "the SDKAppID was not found", "check the sdkappid and the region";
    70050, "ERR_SVR_ACCOUNT_FREQ_LIMIT", Auth, Definite, Fatal, "too many failed verifications", "correct the credentials and wait a minute";
    70051, "ERR_SVR_ACCOUNT_BLACKLIST", Auth, Definite, Fatal, "the account is blocked by the platform", "ask the vendor";
    70052, "ERR_SVR_ACCOUNT_INVALID_USERSIG", Auth, Definite, Ticket, "the UserSig is no longer valid", "make a new one";
    70101, "ERR_LOGIN_SIG_EXPIRE", Auth, Definite, Never, "the ticket of the login expired", "make a new one";
    70107, "ERR_SVR_ACCOUNT_NOT_FOUND", NotFound, Definite, Never, "the account does not exist", "import the account first";
    70114, "ERR_SVR_ACCOUNT_SEC_RSTR", Throttled, Definite, Never, "restricted for security reasons", "ask the vendor";
    70169, "ERR_SVR_ACCOUNT_INTERNAL_TIMEOUT", Server, Ambiguous, Ambiguous, "a timeout inside the account service", "try again";
    70202, "ERR_SVR_ACCOUNT_INTERNAL_TIMEOUT_EX", Server, Ambiguous, Ambiguous, "a timeout inside the account service", "try again";
    70206, "ERR_SVR_ACCOUNT_INVALID_COUNT", Argument, Definite, Never, "the number of accounts in one request is not allowed", "send fewer";
    70346, "ERR_SVR_ACCOUNT_USERSIG_CHECK_FAILED_OLD", Auth, Definite, Never, "the UserSig is not valid (seen in 2017, undocumented)", "check the secret key";
    70398, "ERR_SVR_ACCOUNT_COUNT_LIMIT", Argument, Definite, Never, "the trial plan allows no more accounts (100)", "upgrade the plan";
    70402, "ERR_SVR_ACCOUNT_INVALID_PARAMETERS", Argument, Definite, Never, "a parameter of the account service is wrong", "see the message of the server";
    70403, "ERR_SVR_ACCOUNT_ADMIN_REQUIRED", Auth, Definite, Never, "the request needs an app admin", "sign as an app admin";
    70500, "ERR_SVR_ACCOUNT_INTERNAL_ERROR", Server, Ambiguous, Ambiguous, "internal error of the account service", "try again";
    71000, "ERR_SVR_ACCOUNT_DELETE_NOT_ALLOWED", Auth, Definite, Never, "accounts can be deleted on the trial plan only", "nothing can be done on this plan";
    72000, "ERR_SVR_ACCOUNT_DAILY_ACTIVE_LIMIT", Throttled, Definite, Never, "the trial plan allows no more active accounts today", "upgrade the plan";
    72001, "ERR_SVR_ACCOUNT_FEATURE_DISABLED", Auth, Definite, Never, "the feature is switched off in the console", "switch it on";
}

/// The row of a code, or `None` for a server code that is not documented.
pub fn lookup(number: i32) -> Option<&'static Code> {
    CODES.binary_search_by_key(&number, |code| code.number).ok().map(|index| &CODES[index])
}

/// The symbolic name of any code, `"UNKNOWN"` for one that is not documented.
pub fn name(number: i32) -> &'static str {
    lookup(number).map_or("UNKNOWN", |code| code.name)
}

/// The class of any code. A code nobody documented came from the server.
pub fn class(number: i32) -> Class {
    lookup(number).map_or(Class::Server, |code| code.class)
}

/// How the retry policy treats a code. An unknown one is never repeated.
pub fn retry(number: i32) -> Retry {
    lookup(number).map_or(Retry::Never, |code| code.retry)
}

/// Whether an envelope with this code leaves open what became of the request.
///
/// A code nobody documented proves nothing, so it counts as ambiguous.
pub fn certainty(number: i32) -> Certainty {
    lookup(number).map_or(Ambiguous, |code| code.certainty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_and_every_row_is_filled() {
        for pair in CODES.windows(2) {
            assert!(pair[0].number < pair[1].number, "{} stands wrong", pair[1].number);
        }
        for code in CODES {
            assert_eq!(lookup(code.number).unwrap().name, code.name);
            assert!(!code.meaning.is_empty() && !code.advice.is_empty());
            assert!(!code.meaning.ends_with('.') && !code.advice.ends_with('.'));
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
    }

    /// The retry classes of the policy, number by number.
    #[test]
    fn retry_classes_are_those_of_the_policy() {
        let with = |retry| -> Vec<i32> {
            CODES.iter().filter(|c| c.retry == retry && c.number > 0).map(|c| c.number).collect()
        };
        assert_eq!(with(Retry::Ambiguous), [30006, 30007, 60008, 60013, 60014, 70169, 70202, 70500]);
        assert_eq!(with(Retry::Conflict), [30008]);
        assert_eq!(with(Retry::Throttled), [60007, 60011, 60018, 60019]);
        assert_eq!(with(Retry::Ticket), [70001, 70052]);
        assert_eq!(
            with(Retry::Fatal),
            [
                60004, 60005, 60006, 60010, 60012, 60016, 60017, 60020, 60021, 70002, 70003, 70005, 70009,
                70013, 70014, 70016, 70020, 70050, 70051
            ]
        );
        // Whatever the policy repeats as ambiguous must also be reported as such.
        for code in CODES.iter().filter(|c| c.retry == Retry::Ambiguous) {
            assert_eq!(code.certainty, Ambiguous, "{}", code.number);
        }
    }
}
