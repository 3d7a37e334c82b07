//! `imgroup_config`: the builder of a client.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::error::imgroup_error;
use super::guard::{guard, guard_or};
use super::handle::{self, Handle, c_text};
use super::input;
use crate::config::{Config, LogLevel};
use crate::error::{Error, Result};

/// What a client is made from. One thread at a time. imgroup_client_new copies
/// it: it may be changed, used again or freed afterwards.
pub struct imgroup_config {
    _private: [u8; 0],
}

impl Handle for imgroup_config {
    type Value = Config;
    const MAGIC: u64 = 0x434f_4e46_6d69_6567;
}

/// How important a log line is.
#[repr(C)]
pub enum imgroup_log_level {
    /// A call failed.
    IMGROUP_LOG_ERROR = 1,
    /// Something is worse than it should be, but the library copes.
    IMGROUP_LOG_WARNING = 2,
    /// Rare events of normal work.
    IMGROUP_LOG_INFO = 3,
    /// Every attempt.
    IMGROUP_LOG_DEBUG = 4,
}

/// Receives log lines. `message` is borrowed for the length of the call.
pub type imgroup_log_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, level: i32, message: *const c_char)>;

/// Is asked before every request. `command` is the last part of the URL path, as
/// "group_delete", borrowed for the length of the call.
///
/// Returns how many milliseconds to wait before the request may leave, or a
/// negative number to refuse it.
pub type imgroup_quota_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, command: *const c_char) -> i64>;

/// Is told once that the library has no more use for `userdata`.
pub type imgroup_drop_callback = Option<unsafe extern "C" fn(userdata: *mut c_void)>;

/// What a callback is given, and given back when its last user is gone.
pub(super) struct Userdata {
    pub pointer: *mut c_void,
    pub drop: imgroup_drop_callback,
}

// SAFETY: the header asks for callbacks and userdata that any thread may use.
unsafe impl Send for Userdata {}
// SAFETY: as above.
unsafe impl Sync for Userdata {}

impl Drop for Userdata {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: the caller's own function on the caller's own pointer, once.
            unsafe { drop(self.pointer) };
        }
    }
}

/// Makes a configuration from the credentials of an app. A region or an endpoint
/// has to be set before a client can be made from it.
///
/// @param sdkappid    the SDKAppID of the app, not 0.
/// @param identifier  an admin account of the app: 1 to 32 bytes of printable
///                    ASCII. "administrator" unless changed in the console.
/// @param secret_key  the key of the app as printed in the console: 1 to 1024
///                    bytes. Copied, and wiped when the last user is freed.
/// @param config      out: the handle; free it with imgroup_config_free.
/// @param error       out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_INVALID_ARGUMENT or IMGROUP_E_INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_new(
    sdkappid: u32,
    identifier: *const c_char,
    secret_key: *const c_char,
    config: *mut *mut imgroup_config,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(config, std::ptr::null_mut());
    guard(error, || {
        handle::required(config, "config")?;
        // SAFETY: the caller passes NULL or NUL-terminated texts.
        let (identifier, secret_key) =
            unsafe { (input::text(identifier, "identifier")?, input::text(secret_key, "secret_key")?) };
        handle::put(config, handle::give(Config::new(sdkappid, identifier, secret_key)?));
        Ok(())
    })
}

/// Makes a configuration from the environment: IMGROUP_SDKAPPID,
/// IMGROUP_IDENTIFIER, IMGROUP_SECRET_KEY (or IMGROUP_SECRET_KEY_FILE),
/// IMGROUP_REGION or IMGROUP_ENDPOINT, and, where set, IMGROUP_CA_FILE,
/// IMGROUP_TIMEOUT_MS, IMGROUP_QUOTA_DIR, IMGROUP_QUOTA_SHARE (such as 0.5) and
/// IMGROUP_QUOTA_REDIS. The only function that reads the environment; no other
/// thread may change it meanwhile.
///
/// @param config  out: the handle; free it with imgroup_config_free.
/// @param error   out, may be NULL: which variable is missing or wrong.
/// @return IMGROUP_OK, IMGROUP_E_CONFIG, IMGROUP_E_INVALID_ARGUMENT or
///         IMGROUP_E_INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_from_env(
    config: *mut *mut imgroup_config,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(config, std::ptr::null_mut());
    guard(error, || {
        handle::required(config, "config")?;
        handle::put(config, handle::give(Config::from_env()?));
        Ok(())
    })
}

/// Changes a configuration in the guard that all setters share.
///
/// # Safety
/// `config` is NULL or a live handle that this thread alone uses.
unsafe fn set(
    config: *mut imgroup_config,
    error: *mut *mut imgroup_error,
    change: impl FnOnce(&mut Config) -> Result<()>,
) -> i32 {
    // SAFETY: the same promise.
    guard(error, || change(unsafe { handle::borrow_mut(config, "config") }?))
}

/// Sets the data centre the app lives in: its host and backup host. Which one that
/// is was chosen when the app was made, and stands in the console.
///
/// @param config  the configuration.
/// @param region  "cn", "sgp", "kr", "jpn", "ger", "usa" or "idn"; also "ind",
///                which left the vendor's documentation in 2024, and "ksa", which
///                is known from code only.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_region(
    config: *mut imgroup_config,
    region: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe { set(config, error, |config| config.set_region(input::text(region, "region")?)) }
}

/// Sets any other host, in place of a region's, and takes the backup host away.
/// For an emulator, a gateway of one's own, or a data centre that is newer than
/// this library.
///
/// @param config  the configuration.
/// @param url     "https://host" or "https://host:port"; "http://" to loopback
///                addresses only, for an emulator.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_endpoint(
    config: *mut imgroup_config,
    url: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe { set(config, error, |config| config.set_endpoint(input::text(url, "url")?)) }
}

/// Sets the host to try when the first one cannot be reached or shows a wrong
/// certificate. A region brings its own. After three such failures in a row it is
/// used for 30 s before the first one is tried again.
///
/// @param config  the configuration.
/// @param url     as for imgroup_config_set_endpoint.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_backup_endpoint(
    config: *mut imgroup_config,
    url: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe { set(config, error, |config| config.set_backup_endpoint(input::text(url, "url")?)) }
}

/// Sets whom to trust as certificate authority. Certificates are always verified:
/// there is no switch against it.
///
/// @param config  the configuration.
/// @param path    a PEM file; "system" for the operating system's bundle; "" for
///                the Mozilla roots that are built in (the default). Read by
///                imgroup_client_new.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or an argument error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_ca_file(
    config: *mut imgroup_config,
    path: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe { set(config, error, |config| config.set_ca_file(input::text(path, "path")?)) }
}

/// Sets an HTTP proxy that knows CONNECT. It sees the host name, never a request.
/// Plain HTTP to loopback goes past it. No proxy is ever taken from the
/// environment.
///
/// @param config  the configuration.
/// @param url     "http://host:port"; "" for none (the default).
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_proxy(
    config: *mut imgroup_config,
    url: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe { set(config, error, |config| config.set_proxy(input::text(url, "url")?)) }
}

/// Sets the directory of the small files by which all processes of a user share
/// the pace, "/dev/shm" unless set. Mount one directory into several containers to
/// share it between them. Where it cannot be used, the pace is the process's own
/// and the log says so.
///
/// @param config  the configuration.
/// @param path    a directory.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_quota_directory(
    config: *mut imgroup_config,
    path: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe { set(config, error, |config| config.set_quota_directory(input::text(path, "path")?)) }
}

/// Shares the pace with other machines through Redis (5 or newer) or Valkey, in
/// place of the machine's own. The quota belongs to the app: more machines give
/// availability, not speed. All of them set the same quota.
///
/// While Redis cannot be used, and for 2.5 s with each new connection, the machine
/// keeps to its part by imgroup_config_set_quota_share: set that to 1/n. A change
/// is logged as a warning, and "redis_away" in the statistics counts the requests
/// that left without Redis. Redis should be near: each client asks for one slot
/// after the other. The library runs a thread for each client and command that is
/// in use.
///
/// Works where the library was built with the cargo feature `redis`: in the imgroup
/// command and in the Python wheel. Otherwise it always fails; the function is
/// there so that programs which try it link with any build.
///
/// @param config  the configuration.
/// @param url     "redis://host", "redis://user:password@host:port/database",
///                "rediss://..." for TLS (trust as by imgroup_config_set_ca_file)
///                or "unix:///path". Copied. No message or log line ever shows the
///                password.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_CONFIG for a URL that makes no sense and where
///         the feature is missing, IMGROUP_E_HANDLE or an argument error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_quota_redis(
    config: *mut imgroup_config,
    url: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe { set(config, error, |config| config.set_quota_redis(input::text(url, "url")?)) }
}

/// Sets how long a call may take, all attempts, pauses and waits included. A call
/// can have a time of its own: imgroup_call_set_timeout_ms.
///
/// @param config      the configuration.
/// @param timeout_ms  1 to 600000 milliseconds; 0 for the default of 15000.
/// @param error       out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_timeout_ms(
    config: *mut imgroup_config,
    timeout_ms: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_timeout_ms(timeout_ms)) }
}

/// Sets how long one attempt may take, so that a lost reply leaves time for
/// another one. The service itself gives up after 3000 ms ("RESTful API
/// Overview").
///
/// @param config      the configuration.
/// @param timeout_ms  1 to 600000 milliseconds; 0 for the default of 5000.
/// @param error       out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_attempt_timeout_ms(
    config: *mut imgroup_config,
    timeout_ms: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_attempt_timeout_ms(timeout_ms)) }
}

/// Sets how long resolving the host name may take.
///
/// @param config      the configuration.
/// @param timeout_ms  1 to 600000 milliseconds; 0 for the default of 2000.
/// @param error       out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_resolve_timeout_ms(
    config: *mut imgroup_config,
    timeout_ms: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_resolve_timeout_ms(timeout_ms)) }
}

/// Sets how long the TCP connection to one host may take to come about.
///
/// @param config      the configuration.
/// @param timeout_ms  1 to 600000 milliseconds; 0 for the default of 3100.
/// @param error       out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_connect_timeout_ms(
    config: *mut imgroup_config,
    timeout_ms: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_connect_timeout_ms(timeout_ms)) }
}

/// Sets how often a call is tried in all. A write conflict (30008) is tried up to
/// five times all the same, unless this is 1.
///
/// @param config    the configuration.
/// @param attempts  1 to 5; 0 for the default of 3.
/// @param error     out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_max_attempts(
    config: *mut imgroup_config,
    attempts: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_max_attempts(attempts)) }
}

/// Sets the life of the tickets that the client signs for itself. They are renewed
/// at 80 % of it.
///
/// @param config  the configuration.
/// @param ttl_s   60 to 1576800000 seconds; 0 for the default of 86400.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_usersig_ttl_s(
    config: *mut imgroup_config,
    ttl_s: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_usersig_ttl_s(ttl_s)) }
}

/// Sets the longest reply that is accepted; a longer one is IMGROUP_E_BAD_REPLY.
///
/// @param config  the configuration.
/// @param bytes   1024 to 16777216; 0 for the default of 1048576.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_max_reply_bytes(
    config: *mut imgroup_config,
    bytes: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_max_reply_bytes(bytes)) }
}

/// Sets what the service allows the app, for each command by itself. Requests
/// leave evenly spaced at nine tenths of it, over all processes of this user on
/// the machine.
///
/// @param config               the configuration.
/// @param requests_per_second  1 to 1000000; 0 for what is documented: 200, and
///                             100 for account_check, account_delete and
///                             multiaccount_import ("Limits").
/// @param error                out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_quota(
    config: *mut imgroup_config,
    requests_per_second: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_quota(requests_per_second)) }
}

/// Sets the part of the quota that this machine may use: 1/n where n machines
/// serve one app. With imgroup_config_set_quota_redis it holds while Redis is away.
///
/// @param config  the configuration.
/// @param share   0.001 to 1; 1 is the default.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_quota_share(
    config: *mut imgroup_config,
    share: f64,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { set(config, error, |config| config.set_quota_share(share)) }
}

/// Sets a limiter of the caller's own that is asked before every request, in place
/// of the built-in pace; the library does the waiting.
///
/// The callback runs on the thread of the call, possibly on several at once. It
/// must not call the same client and must not throw or jump out.
///
/// @param config    the configuration.
/// @param acquire   the limiter; NULL for the machine's own pace.
/// @param userdata  passed to `acquire`. The library takes it over in any case,
///                  also when this function fails.
/// @param drop      called with `userdata` when neither the configuration nor a
///                  client uses it any more; may be NULL.
/// @param error     out, may be NULL: why it failed.
/// @return IMGROUP_OK or IMGROUP_E_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_quota_callback(
    config: *mut imgroup_config,
    acquire: imgroup_quota_callback,
    userdata: *mut c_void,
    drop: imgroup_drop_callback,
    error: *mut *mut imgroup_error,
) -> i32 {
    let userdata = Userdata { pointer: userdata, drop };
    // SAFETY: the caller passes NULL or a live handle.
    unsafe {
        set(config, error, move |config| {
            config.set_quota_callback(acquire.map(|acquire| {
                let source = move |command: &str| {
                    let userdata = &userdata;
                    // The caller's own function; the text lives during the call.
                    acquire(userdata.pointer, c_text(command).as_ptr())
                };
                Arc::new(source) as Arc<dyn Fn(&str) -> i64 + Send + Sync>
            }));
            Ok(())
        })
    }
}

/// Sets where log lines go. Without this, the library says nothing.
///
/// The callback runs on the thread of the call, possibly on several at once. It
/// must not call the same client and must not throw or jump out. No secret key
/// and no UserSig ever stands in a line.
///
/// @param config    the configuration.
/// @param level     the least important level wanted, one of enum
///                  imgroup_log_level.
/// @param log       the receiver; NULL for none.
/// @param userdata  passed to `log`. The library takes it over in any case, also
///                  when this function fails.
/// @param drop      called with `userdata` when neither the configuration nor a
///                  client uses it any more; may be NULL.
/// @param error     out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_set_log_callback(
    config: *mut imgroup_config,
    level: i32,
    log: imgroup_log_callback,
    userdata: *mut c_void,
    drop: imgroup_drop_callback,
    error: *mut *mut imgroup_error,
) -> i32 {
    let userdata = Userdata { pointer: userdata, drop };
    // SAFETY: the caller passes NULL or a live handle.
    unsafe {
        set(config, error, move |config| {
            let level = match level {
                1 => LogLevel::Error,
                2 => LogLevel::Warning,
                3 => LogLevel::Info,
                4 => LogLevel::Debug,
                other => {
                    return Err(Error::argument("level", format_args!("must be 1 to 4, not {other}")));
                }
            };
            config.set_log(
                level,
                log.map(|log| {
                    let sink = move |level: LogLevel, line: &str| {
                        let userdata = &userdata;
                        // The caller's own function; the text lives during the call.
                        log(userdata.pointer, level as i32, c_text(line).as_ptr());
                    };
                    Arc::new(sink) as Arc<dyn Fn(LogLevel, &str) + Send + Sync>
                }),
            );
            Ok(())
        })
    }
}

/// Frees a configuration. Clients made from it are not touched.
///
/// @param config  a configuration, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_config_free(config: *mut imgroup_config) {
    // SAFETY: the caller gives the handle up.
    guard_or((), || unsafe { handle::take_back(config) });
}
