//! Why an exchange gave no reply.

#![forbid(unsafe_code)]

use crate::call::Stop;
use crate::codes::{self, Retry};
use crate::connection::Broken;
use crate::http::Refused;

/// No reply that could be read.
#[derive(Debug)]
pub(crate) struct Lost {
    pub code: i32,
    pub message: String,
    /// Whether the whole request was handed over, so that it can have arrived. The
    /// service cannot apply a part of one.
    pub sent: bool,
    /// The connection had been used before and broke before a byte of the reply:
    /// the peer had probably closed it while it was idle.
    pub stale: bool,
    /// How the policy treats it, if the call goes on.
    pub retry: Retry,
    /// The host itself could not be used: another one may do better.
    pub unreachable: bool,
    /// The call ended, or the attempt's time.
    pub stopped: Option<Stop>,
}

impl Lost {
    pub fn new(code: i32, message: impl Into<String>, retry: Retry) -> Lost {
        Lost {
            code,
            message: message.into(),
            sent: false,
            stale: false,
            retry,
            unreachable: false,
            stopped: None,
        }
    }

    /// The host could not be used at all.
    pub fn unreachable(code: i32, message: impl Into<String>) -> Lost {
        Lost { unreachable: true, ..Lost::new(code, message, Retry::NotSent) }
    }

    /// The peer left in the middle.
    pub fn cut_short() -> Lost {
        Lost::new(codes::IO, "the connection was closed before the reply was complete", Retry::Ambiguous)
    }
}

impl From<Refused> for Lost {
    fn from(refusal: Refused) -> Lost {
        let (reason, retry) = match refusal {
            Refused::Malformed(reason) => (reason, Retry::Ambiguous),
            Refused::Unwanted(reason) => (reason, Retry::Never),
        };
        Lost::new(codes::BAD_REPLY, reason, retry)
    }
}

impl From<Broken> for Lost {
    fn from(broken: Broken) -> Lost {
        match broken {
            Broken::Stopped(stop) => stop.into(),
            Broken::Lost(reason) => Lost::new(codes::IO, reason, Retry::Ambiguous),
            Broken::Tls(reason, passing) => Lost {
                unreachable: true,
                ..Lost::new(codes::TLS, reason, if passing { Retry::NotSent } else { Retry::Never })
            },
        }
    }
}

impl From<Stop> for Lost {
    fn from(stop: Stop) -> Lost {
        let message = match stop {
            Stop::Cancelled => "the call was cancelled",
            Stop::Shutdown => "the client was shut down",
            Stop::Deadline => "no reply in time",
        };
        Lost { stopped: Some(stop), ..Lost::new(stop.code(), message, Retry::Ambiguous) }
    }
}
