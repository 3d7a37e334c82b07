//! What a client is made from: credentials, host, limits of time, trust and pace.
//!
//! Every setter checks its value at once and names the setting and its range, so
//! that a client that was made can only fail for reasons outside.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::codes;
use crate::error::{Error, Result};
use crate::usersig;

/// A data centre: name, host, and the host for when the first cannot be reached.
#[derive(Debug, PartialEq, Eq)]
pub struct Region {
    /// The name as used here: the letters in the host name, `cn` for China.
    pub name: &'static str,
    /// The documented host.
    pub host: &'static str,
    /// The documented backup host.
    pub backup: &'static str,
}

/// The documented data centres. Which one an app lives in is fixed when the app
/// is made. `ind` left the documentation in 2024; `ksa` is known from code only.
#[rustfmt::skip]
pub const REGIONS: &[Region] = &[
    Region { name: "cn", host: "console.tim.qq.com", backup: "adminapi.my-imcloud.com" },
    Region { name: "sgp", host: "adminapisgp.im.qcloud.com", backup: "adminapisgp.my-imcloud.com" },
    Region { name: "kr", host: "adminapikr.im.qcloud.com", backup: "adminapikr.my-imcloud.com" },
    Region { name: "jpn", host: "adminapijpn.im.qcloud.com", backup: "adminapijpn.my-imcloud.com" },
    Region { name: "ger", host: "adminapiger.im.qcloud.com", backup: "adminapiger.my-imcloud.com" },
    Region { name: "usa", host: "adminapiusa.im.qcloud.com", backup: "adminapiusa.my-imcloud.com" },
    Region { name: "idn", host: "adminapiidn.im.qcloud.com", backup: "adminapiidn.my-imcloud.com" },
    Region { name: "ind", host: "adminapiind.im.qcloud.com", backup: "adminapiind.my-imcloud.com" },
    Region { name: "ksa", host: "adminapiksa.im.qcloud.com", backup: "adminapiksa.my-imcloud.com" },
];

/// Where requests go: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// HTTPS, or plain HTTP, which is for loopback only.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `https://host[:port]`, or `http://` with a loopback host.
    pub fn parse(setting: &str, text: &str) -> Result<Endpoint> {
        let (tls, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(Error::config(setting, "must begin with https:// (or http:// for loopback)"));
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(authority).ok_or_else(|| {
            Error::config(setting, "must be https://host or https://host:port, nothing more")
        })?;
        let endpoint =
            Endpoint { tls, host: host.to_owned(), port: port.unwrap_or(if tls { 443 } else { 80 }) };
        if !tls && !endpoint.is_loopback() {
            return Err(Error::config(setting, "plain http:// is allowed to loopback only; use https://"));
        }
        Ok(endpoint)
    }

    fn of_host(host: &str) -> Endpoint {
        Endpoint { tls: true, host: host.to_owned(), port: 443 }
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// `scheme://host[:port]`, the way a URL begins.
    pub fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{self}")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port != if self.tls { 443 } else { 80 } {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// Splits `host[:port]` or `[address][:port]`; `None` if it is neither.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return None,
        }
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let named = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        if !named {
            return None;
        }
        (host, port)
    };
    match port {
        None => Some((host, None)),
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|&port| port != 0).map(|port| (host, Some(port)))
        }
        Some(_) => None,
    }
}

/// Whom to trust as certificate authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The Mozilla roots that are built in.
    #[default]
    Bundled,
    /// The certificates in a PEM file.
    File(PathBuf),
    /// The bundle of the operating system.
    System,
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum LogLevel {
    /// A call failed.
    Error = 1,
    /// Something is worse than it should be, but the library copes.
    Warning = 2,
    /// Rare events of normal work: a new connection, a new ticket.
    Info = 3,
    /// Every attempt.
    Debug = 4,
}

/// Receives log lines, on the thread of the call.
pub type LogSink = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// Is asked before every request: milliseconds to wait, or negative to refuse.
pub type QuotaSource = Arc<dyn Fn(&str) -> i64 + Send + Sync>;

/// Where the pace comes from.
#[derive(Clone, Default)]
pub(crate) enum Quota {
    /// A word that all processes of the user on this machine share.
    #[default]
    Machine,
    /// The caller's own limiter.
    Callback(QuotaSource),
    /// A key in Redis that several machines share.
    #[cfg(feature = "redis")]
    Redis(Arc<crate::redis_pace::Server>),
}

/// The builder of a client.
#[derive(Clone)]
pub struct Config {
    pub(crate) sdkappid: u32,
    pub(crate) identifier: String,
    pub(crate) secret_key: Zeroizing<String>,
    pub(crate) primary: Option<Endpoint>,
    pub(crate) backup: Option<Endpoint>,
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) resolve_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) usersig_ttl_s: u32,
    pub(crate) trust: Trust,
    pub(crate) proxy: Option<Endpoint>,
    pub(crate) max_reply_bytes: usize,
    pub(crate) quota: Quota,
    pub(crate) quota_per_second: u32,
    pub(crate) quota_share: f64,
    pub(crate) quota_directory: PathBuf,
    pub(crate) log: Option<(LogLevel, LogSink)>,
}

/// The longest time any setting takes: ten minutes.
pub const TIMEOUT_MAX_MS: u32 = 600_000;
const QUOTA_MAX: u32 = 1_000_000;
const REPLY_BYTES: std::ops::RangeInclusive<u32> = 1024..=16 * 1024 * 1024;

impl Config {
    /// Takes the credentials and checks them. A region or an endpoint has to follow.
    pub fn new(sdkappid: u32, identifier: &str, secret_key: &str) -> Result<Config> {
        usersig::check_sdkappid(sdkappid)?;
        usersig::check_identifier("identifier", identifier)?;
        if secret_key.is_empty() || secret_key.len() > 1024 {
            return Err(Error::argument(
                "secret_key",
                format_args!("must be 1 to 1024 bytes, not {}", secret_key.len()),
            ));
        }
        Ok(Config {
            sdkappid,
            identifier: identifier.to_owned(),
            secret_key: Zeroizing::new(secret_key.to_owned()),
            primary: None,
            backup: None,
            timeout: Duration::from_millis(15_000),
            attempt_timeout: Duration::from_millis(5_000),
            resolve_timeout: Duration::from_millis(2_000),
            connect_timeout: Duration::from_millis(3_100),
            max_attempts: 3,
            usersig_ttl_s: 24 * 3600,
            trust: Trust::Bundled,
            proxy: None,
            max_reply_bytes: 1024 * 1024,
            quota: Quota::Machine,
            quota_per_second: 0,
            quota_share: 1.0,
            quota_directory: PathBuf::from("/dev/shm"),
            log: None,
        })
    }

    /// Reads `IMGROUP_SDKAPPID`, `IMGROUP_IDENTIFIER`, `IMGROUP_SECRET_KEY` (or
    /// `IMGROUP_SECRET_KEY_FILE`), `IMGROUP_REGION` or `IMGROUP_ENDPOINT`, and, if
    /// set, `IMGROUP_CA_FILE`, `IMGROUP_TIMEOUT_MS`, `IMGROUP_QUOTA_DIR`,
    /// `IMGROUP_QUOTA_SHARE` and `IMGROUP_QUOTA_REDIS`.
    pub fn from_env() -> Result<Config> {
        let required =
            |name: &str| read_env(name)?.ok_or_else(|| Error::config(name, "is not set in the environment"));
        let sdkappid = number("IMGROUP_SDKAPPID", &required("IMGROUP_SDKAPPID")?)?;
        let identifier = required("IMGROUP_IDENTIFIER")?;
        let secret_key = match (read_env("IMGROUP_SECRET_KEY")?, read_env("IMGROUP_SECRET_KEY_FILE")?) {
            (Some(key), _) => Zeroizing::new(key),
            (None, Some(path)) => read_key_file(Path::new(&path))?,
            (None, None) => {
                return Err(Error::config(
                    "IMGROUP_SECRET_KEY",
                    "is not set in the environment, nor is IMGROUP_SECRET_KEY_FILE",
                ));
            }
        };
        let mut config = Config::new(sdkappid, &identifier, &secret_key)?;
        if let Some(region) = read_env("IMGROUP_REGION")? {
            config.set_region(&region)?;
        }
        // An endpoint is the more particular wish.
        if let Some(endpoint) = read_env("IMGROUP_ENDPOINT")? {
            config.set_endpoint(&endpoint)?;
        }
        if let Some(file) = read_env("IMGROUP_CA_FILE")? {
            config.set_ca_file(&file)?;
        }
        if let Some(timeout) = read_env("IMGROUP_TIMEOUT_MS")? {
            config.set_timeout_ms(number("IMGROUP_TIMEOUT_MS", &timeout)?)?;
        }
        if let Some(directory) = read_env("IMGROUP_QUOTA_DIR")? {
            config.set_quota_directory(&directory)?;
        }
        if let Some(share) = read_env("IMGROUP_QUOTA_SHARE")? {
            // As JSON has it: the parser of std has a table of 10 kB that nobody else needs.
            let share = serde_json::from_str(&share)
                .map_err(|_| Error::config("IMGROUP_QUOTA_SHARE", "must be a number such as 0.5"))?;
            config.set_quota_share(share)?;
        }
        if let Some(url) = read_env("IMGROUP_QUOTA_REDIS")? {
            config.set_quota_redis(&url)?;
        }
        Ok(config)
    }

    /// One of [`REGIONS`]: sets host and backup host.
    pub fn set_region(&mut self, name: &str) -> Result<()> {
        let Some(region) = REGIONS.iter().find(|region| region.name == name) else {
            let names: Vec<_> = REGIONS.iter().map(|region| region.name).collect();
            return Err(Error::config("region", format_args!("must be one of {}", names.join(", "))));
        };
        self.primary = Some(Endpoint::of_host(region.host));
        self.backup = Some(Endpoint::of_host(region.backup));
        Ok(())
    }

    /// `https://host[:port]`, or `http://` to loopback; takes away the backup host.
    pub fn set_endpoint(&mut self, url: &str) -> Result<()> {
        self.primary = Some(Endpoint::parse("endpoint", url)?);
        self.backup = None;
        Ok(())
    }

    /// The host to try when the first cannot be reached or shows a wrong certificate.
    pub fn set_backup_endpoint(&mut self, url: &str) -> Result<()> {
        self.backup = Some(Endpoint::parse("backup_endpoint", url)?);
        Ok(())
    }

    /// The whole call. 1 to 600000 ms, 0 for the default of 15000.
    pub fn set_timeout_ms(&mut self, ms: u32) -> Result<()> {
        self.timeout = timeout("timeout_ms", ms, 15_000)?;
        Ok(())
    }

    /// One attempt. 1 to 600000 ms, 0 for the default of 5000. The service itself
    /// gives up after 3000.
    pub fn set_attempt_timeout_ms(&mut self, ms: u32) -> Result<()> {
        self.attempt_timeout = timeout("attempt_timeout_ms", ms, 5_000)?;
        Ok(())
    }

    /// Resolving the host name. 1 to 600000 ms, 0 for the default of 2000.
    pub fn set_resolve_timeout_ms(&mut self, ms: u32) -> Result<()> {
        self.resolve_timeout = timeout("resolve_timeout_ms", ms, 2_000)?;
        Ok(())
    }

    /// The TCP connection. 1 to 600000 ms, 0 for the default of 3100.
    pub fn set_connect_timeout_ms(&mut self, ms: u32) -> Result<()> {
        self.connect_timeout = timeout("connect_timeout_ms", ms, 3_100)?;
        Ok(())
    }

    /// How often a call may be tried. 1 to 5, 0 for the default of 3.
    pub fn set_max_attempts(&mut self, attempts: u32) -> Result<()> {
        if attempts > 5 {
            return Err(Error::config("max_attempts", format_args!("must be 1 to 5, not {attempts}")));
        }
        self.max_attempts = if attempts == 0 { 3 } else { attempts };
        Ok(())
    }

    /// The life of the tickets the client signs for itself. 60 s to 50 years, 0
    /// for the default of 24 hours. They are renewed at 80 % of it.
    pub fn set_usersig_ttl_s(&mut self, seconds: u32) -> Result<()> {
        if seconds != 0 && !(60..=usersig::TTL_MAX_S).contains(&seconds) {
            return Err(Error::config(
                "usersig_ttl_s",
                format_args!("must be 60 to {} seconds, not {seconds}", usersig::TTL_MAX_S),
            ));
        }
        self.usersig_ttl_s = if seconds == 0 { 24 * 3600 } else { seconds };
        Ok(())
    }

    /// A PEM file of certificate authorities, or `system`; empty for the built-in roots.
    pub fn set_ca_file(&mut self, path: &str) -> Result<()> {
        self.trust = match path {
            "" => Trust::Bundled,
            "system" => Trust::System,
            path => Trust::File(PathBuf::from(path)),
        };
        Ok(())
    }

    /// An HTTP proxy that knows CONNECT, `http://host:port`; empty for none. It
    /// sees the host name, never the request. Plain HTTP goes past it.
    pub fn set_proxy(&mut self, url: &str) -> Result<()> {
        if url.is_empty() {
            self.proxy = None;
            return Ok(());
        }
        let rest =
            url.strip_prefix("http://").ok_or_else(|| Error::config("proxy", "must begin with http://"))?;
        let (host, port) = split_port(rest.strip_suffix('/').unwrap_or(rest))
            .ok_or_else(|| Error::config("proxy", "must be http://host:port, nothing more"))?;
        self.proxy = Some(Endpoint { tls: false, host: host.to_owned(), port: port.unwrap_or(80) });
        Ok(())
    }

    /// The longest reply that is accepted. 1024 to 16777216 bytes, 0 for the
    /// default of 1048576.
    pub fn set_max_reply_bytes(&mut self, bytes: u32) -> Result<()> {
        if bytes != 0 && !REPLY_BYTES.contains(&bytes) {
            return Err(Error::config(
                "max_reply_bytes",
                format_args!("must be {} to {}, not {bytes}", REPLY_BYTES.start(), REPLY_BYTES.end()),
            ));
        }
        self.max_reply_bytes = if bytes == 0 { 1024 * 1024 } else { bytes as usize };
        Ok(())
    }

    /// What the service allows the app, in requests a second of each command. 1
    /// to 1000000, 0 for what is documented (200, or 100 for three account
    /// commands).
    pub fn set_quota(&mut self, per_second: u32) -> Result<()> {
        if per_second > QUOTA_MAX {
            return Err(Error::config("quota", format_args!("must be 1 to {QUOTA_MAX}, not {per_second}")));
        }
        self.quota_per_second = per_second;
        Ok(())
    }

    /// This machine's part of the quota, 0.001 to 1: 1/n for n machines.
    pub fn set_quota_share(&mut self, share: f64) -> Result<()> {
        if !(0.001..=1.0).contains(&share) {
            return Err(Error::config("quota_share", format_args!("must be 0.001 to 1, not {share}")));
        }
        self.quota_share = share;
        Ok(())
    }

    /// The directory of the files by which processes share the pace.
    pub fn set_quota_directory(&mut self, path: &str) -> Result<()> {
        if path.is_empty() {
            return Err(Error::config("quota_directory", "must not be empty"));
        }
        self.quota_directory = PathBuf::from(path);
        Ok(())
    }

    /// Asks the caller's own limiter before every request, in place of the pace.
    pub fn set_quota_callback(&mut self, source: Option<QuotaSource>) {
        self.quota = source.map_or(Quota::Machine, Quota::Callback);
    }

    /// Shares the pace with other machines through Redis: `redis://host[:port]`,
    /// with user, password and database if need be, `rediss://` or `unix://`. The
    /// quota is then that of all machines together, and the share of the quota is
    /// this machine's part while Redis is away. Needs the cargo feature `redis`.
    pub fn set_quota_redis(&mut self, url: &str) -> Result<()> {
        #[cfg(feature = "redis")]
        {
            let server = crate::redis_pace::Server::parse("quota_redis", url)?;
            self.quota = Quota::Redis(Arc::new(server));
            Ok(())
        }
        #[cfg(not(feature = "redis"))]
        {
            let _ = url;
            Err(Error::config("quota_redis", "this library was built without the cargo feature redis"))
        }
    }

    /// Where log lines go, and from which level on.
    pub fn set_log(&mut self, level: LogLevel, sink: Option<LogSink>) {
        self.log = sink.map(|sink| (level, sink));
    }

    /// The host requests go to.
    pub(crate) fn primary(&self) -> Result<&Endpoint> {
        self.primary.as_ref().ok_or_else(|| Error::config("endpoint", "set a region or an endpoint"))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("sdkappid", &self.sdkappid)
            .field("identifier", &format_args!("{} bytes", self.identifier.len()))
            .field("secret_key", &format_args!("{} bytes", self.secret_key.len()))
            .field("primary", &self.primary)
            .field("backup", &self.backup)
            .finish_non_exhaustive()
    }
}

fn timeout(setting: &str, ms: u32, default: u32) -> Result<Duration> {
    if ms > TIMEOUT_MAX_MS {
        return Err(Error::config(
            setting,
            format_args!("must be 1 to {TIMEOUT_MAX_MS} ms (0 for the default), not {ms}"),
        ));
    }
    Ok(Duration::from_millis(u64::from(if ms == 0 { default } else { ms })))
}

fn read_env(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::new(codes::INVALID_UTF8, format!("{name}: is not valid UTF-8")))
        }
    }
}

fn number(name: &str, text: &str) -> Result<u32> {
    text.parse().map_err(|_| Error::config(name, "must be a whole number from 0 to 4294967295"))
}

/// Reads a secret key from a file, without the line break at its end.
pub fn read_key_file(path: &Path) -> Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
        if path.exists() {
            Error::config("secret_key file", format_args!("{}: {error}", path.display()))
        } else {
            // It may be the key itself, put where the name of its file belongs.
            let length = path.as_os_str().len();
            Error::config("secret_key file", format_args!("there is none of that name ({length} bytes)"))
        }
    })?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(1400000000, "administrator", "key").unwrap()
    }

    #[test]
    fn endpoints_are_read_or_refused() {
        #[rustfmt::skip]
        let rows: &[(&str, Option<&str>)] = &[
            ("https://console.tim.qq.com", Some("https://console.tim.qq.com")),
            ("https://console.tim.qq.com/", Some("https://console.tim.qq.com")),
            ("https://host:443", Some("https://host")),
            ("https://host:8443", Some("https://host:8443")),
            ("https://[2001:db8::1]:8443", Some("https://[2001:db8::1]:8443")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("http://localhost", Some("http://localhost")),
            ("http://192.0.2.1", None),
            ("http://console.tim.qq.com", None),
            ("ftp://host", None),
            ("host", None),
            ("https://", None),
            ("https://host/path", None),
            ("https://user@host", None),
            ("https://host:0", None),
            ("https://host:65536", None),
            ("https://host:", None),
            ("https://host:+1", None),
            ("https://ho st", None),
            ("https://host?query", None),
        ];
        for (text, origin) in rows {
            assert_eq!(
                Endpoint::parse("endpoint", text).ok().map(|e| e.origin()).as_deref(),
                *origin,
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_in_place_of_its_file_is_not_shown() {
        let message = |path: &str| read_key_file(Path::new(path)).unwrap_err().message().to_owned();
        assert_eq!(message("0b3055"), "secret_key file: there is none of that name (6 bytes)");
        let long = "k".repeat(1000);
        assert_eq!(message(&long), "secret_key file: there is none of that name (1000 bytes)");
        assert!(message("/").starts_with("secret_key file: /: "), "a path that exists helps");
    }

    #[test]
    fn values_out_of_range_are_named() {
        type Set = fn(&mut Config) -> Result<()>;
        #[rustfmt::skip]
        let rows: &[(Set, &str)] = &[
            (|c| c.set_region("mars"), "region: must be one of cn, sgp, kr, jpn, ger, usa, idn, ind, ksa"),
            (|c| c.set_timeout_ms(600_001), "timeout_ms: must be 1 to 600000 ms (0 for the default), not 600001"),
            (|c| c.set_attempt_timeout_ms(u32::MAX), "attempt_timeout_ms: must be 1 to 600000 ms (0 for the default), not 4294967295"),
            (|c| c.set_max_attempts(6), "max_attempts: must be 1 to 5, not 6"),
            (|c| c.set_usersig_ttl_s(59), "usersig_ttl_s: must be 60 to 1576800000 seconds, not 59"),
            (|c| c.set_max_reply_bytes(1), "max_reply_bytes: must be 1024 to 16777216, not 1"),
            (|c| c.set_quota(1_000_001), "quota: must be 1 to 1000000, not 1000001"),
            (|c| c.set_quota_share(0.0), "quota_share: must be 0.001 to 1, not 0"),
            (|c| c.set_quota_share(f64::NAN), "quota_share: must be 0.001 to 1, not NaN"),
            (|c| c.set_quota_directory(""), "quota_directory: must not be empty"),
            (|c| c.set_proxy("socks5://x"), "proxy: must begin with http://"),
        ];
        for (set, message) in rows {
            let error = set(&mut config()).unwrap_err();
            assert_eq!((error.code(), error.message()), (codes::CONFIG, *message));
        }
        assert_eq!(config().primary().unwrap_err().message(), "endpoint: set a region or an endpoint");
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let text = format!("{:?}", Config::new(1, "marker-admin", "marker-key").unwrap());
        assert!(!text.contains("marker"), "{text}");
    }

    #[test]
    fn every_region_has_its_own_hosts() {
        for region in REGIONS {
            let mut config = config();
            config.set_region(region.name).unwrap();
            assert_eq!(config.primary.unwrap().host, region.host);
            assert_eq!(config.backup.unwrap().host, region.backup);
        }
    }
}
