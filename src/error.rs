//! What a failed call tells: one type for every failure, local or the server's.

#![forbid(unsafe_code)]

use std::fmt::{self, Write as _};

use crate::codes::{self, Class};

/// What became of the request on the service, the worst over all its attempts.
///
/// The order is the order of badness: a later attempt never improves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Outcome {
    /// Nothing was sent that could have been applied.
    NotSent = 0,
    /// The service answered and refused: nothing was applied.
    Rejected = 1,
    /// The request may have been applied, or not. Read before repeating what is
    /// not idempotent.
    Unknown = 2,
}

impl Outcome {
    /// The outcome as one word, as it stands in messages and logs.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::NotSent => "NOT_SENT",
            Outcome::Rejected => "REJECTED",
            Outcome::Unknown => "UNKNOWN",
        }
    }
}

/// A failed call.
///
/// Neither the secret key nor a UserSig ever stands in one.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Details>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Details {
    pub code: i32,
    pub class: Class,
    pub message: String,
    pub display: String,
    pub http_status: u16,
    pub attempts: u32,
    pub host: String,
    pub random: Option<u32>,
    pub retryable: bool,
    pub outcome: Outcome,
}

/// The result of everything fallible here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure raised before anything was sent.
    pub fn new(code: i32, message: impl Into<String>) -> Error {
        Error(Box::new(Details {
            code,
            class: codes::class(code),
            message: message.into(),
            display: String::new(),
            http_status: 0,
            attempts: 0,
            host: String::new(),
            random: None,
            retryable: false,
            outcome: Outcome::NotSent,
        }))
    }

    /// An argument that breaks a rule: names the parameter and the rule.
    pub fn argument(parameter: &str, rule: impl fmt::Display) -> Error {
        Error::new(codes::INVALID_ARGUMENT, format!("{parameter}: {rule}"))
    }

    /// A setting that breaks a rule: names the setting and the rule.
    pub fn config(setting: &str, rule: impl fmt::Display) -> Error {
        Error::new(codes::CONFIG, format!("{setting}: {rule}"))
    }

    /// Negative: raised here. Positive: the server's `ErrorCode`.
    pub fn code(&self) -> i32 {
        self.0.code
    }

    /// The symbolic name of the code.
    pub fn name(&self) -> &'static str {
        codes::name(self.0.code)
    }

    /// What kind of failure it is.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The text for developers.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The server's text meant for end users (`ErrorDisplay`), mostly empty.
    pub fn display_text(&self) -> &str {
        &self.0.display
    }

    /// The HTTP status of the last reply, 0 if there was none.
    pub fn http_status(&self) -> u16 {
        self.0.http_status
    }

    /// How many attempts were made; 0 if nothing was tried.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The host of the last attempt, empty if there was none.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The `random` of the last attempt, by which the vendor traces a request.
    pub fn random(&self) -> Option<u32> {
        self.0.random
    }

    /// Whether the same call may succeed later, unchanged. It says nothing of
    /// whether repeating is harmless: see [`Error::outcome`].
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// What became of the request.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Ends the text with what is known of the attempts. Done once, when the call ends:
    /// until then the outcome can get worse.
    pub(crate) fn conclude(mut self) -> Error {
        let Details { message, attempts, host, random, outcome, .. } = &mut *self.0;
        let _ = write!(message, " (attempts {attempts}, ");
        if let Some(random) = random {
            let _ = write!(message, "host {host}, random {random}, ");
        }
        let _ = write!(message, "outcome {})", outcome.name());
        self
    }

    pub(crate) fn details_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name(), self.code(), self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {}
