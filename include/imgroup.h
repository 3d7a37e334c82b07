/* imgroup.h - friend lists of Tencent Cloud Chat (IM) from a server.
 *
 * Licence: MIT OR Apache-2.0.
 * Generated from src/ffi by cbindgen: edit there, then run `make header`.
 *
 * THE LIBRARY IN A PAGE
 *
 *   imgroup_config *config = NULL;
 *   imgroup_client *client = NULL;
 *   imgroup_response *reply = NULL;
 *   imgroup_error *error = NULL;
 *   const char *names[] = {"Family", "Work"};
 *
 *   if (imgroup_config_new(1400000000, "administrator",
 *                          getenv("IMGROUP_SECRET_KEY"), &config, &error) ||
 *       imgroup_config_set_region(config, "sgp", &error) ||
 *       imgroup_client_new(config, &client, &error) ||
 *       imgroup_delete_lists(client, "alice", names, 2, NULL, &reply, &error))
 *     fprintf(stderr, "%s\n", imgroup_error_message(error));
 *
 *   imgroup_response_free(reply);
 *   imgroup_error_free(error);
 *   imgroup_client_free(client);
 *   imgroup_config_free(config);
 *
 * RULES THAT HOLD FOR EVERY FUNCTION
 *
 * Results. A function that can fail returns int32_t: 0 (IMGROUP_OK) is success,
 *   a negative number was raised by this library (enum imgroup_code), a positive
 *   number is the service's own ErrorCode, unchanged. The last parameter of such
 *   a function is an optional imgroup_error **: pass NULL if you do not want the
 *   details. It is set to NULL on success, to a new object on failure. Use a
 *   fresh or freed variable for each call: what it held before is overwritten.
 * Outputs. Written on success; on failure set to NULL.
 * Ownership. A handle given to you is yours: free it with the function named
 *   after its type. A `const char *` from a getter is borrowed from the handle it
 *   came from and lives as long. Whatever you pass in is copied before the
 *   function returns. Every _free takes NULL, never fails, waits for nobody and
 *   does no I/O (but for imgroup_job_free, which may remove files).
 * Texts. NUL-terminated UTF-8, both ways. Lengths are in bytes. An array may be
 *   (NULL, 0).
 * Threads. A client may be used from many threads at once. Every other handle
 *   may move between threads but is for one thread at a time, except where a
 *   function says that any thread may call it: imgroup_call_cancel, and some of
 *   those on a job.
 * Process. The library prints nothing, handles and raises no signal (no SIGPIPE
 *   either), and reads the environment in imgroup_config_from_env only. No thread
 *   of its own outlives a call, but for at most two that wait for the system's
 *   name resolver. After fork() a client goes on working in both processes: the
 *   child gets connections of its own.
 * Time. Every blocking call ends at its deadline (15 s unless set otherwise),
 *   250 ms late at most. imgroup_job_run has none: it takes what its rows take.
 *
 * All of it is there since version 0.1.0 unless a function says otherwise.
 */

#ifndef IMGROUP_H
#define IMGROUP_H

#include <stddef.h>
#include <stdint.h>

#define IMGROUP_VERSION_MAJOR 0
#define IMGROUP_VERSION_MINOR 1
#define IMGROUP_VERSION_PATCH 0
/** MAJOR * 1000000 + MINOR * 1000 + PATCH */
#define IMGROUP_VERSION_NUMBER 1000

/* Marks what the shared library exports. */
#if defined(__GNUC__)
#define IMGROUP_API __attribute__((visibility("default")))
#else
#define IMGROUP_API
#endif

/**
 * What functions return. Negative codes are raised by this library; a positive
 * one is the service's ErrorCode, and imgroup_code_name knows the documented
 * ones. Numbers are never reused.
 */
typedef enum {
  /**
   * Success.
   */
  IMGROUP_OK = 0,
  /**
   * An argument breaks a rule; the message names the parameter.
   */
  IMGROUP_E_INVALID_ARGUMENT = -1,
  /**
   * A text is not valid UTF-8.
   */
  IMGROUP_E_INVALID_UTF8 = -2,
  /**
   * A handle is NULL, freed or of another type.
   */
  IMGROUP_E_HANDLE = -3,
  /**
   * The configuration is wrong or incomplete.
   */
  IMGROUP_E_CONFIG = -4,
  /**
   * The host name could not be resolved.
   */
  IMGROUP_E_DNS = -10,
  /**
   * The host could not be connected.
   */
  IMGROUP_E_CONNECT = -11,
  /**
   * No trusted TLS connection could be made.
   */
  IMGROUP_E_TLS = -12,
  /**
   * The connection broke before the reply was complete.
   */
  IMGROUP_E_IO = -13,
  /**
   * The reply had another HTTP status than 200.
   */
  IMGROUP_E_HTTP_STATUS = -14,
  /**
   * The reply could not be understood.
   */
  IMGROUP_E_BAD_REPLY = -15,
  /**
   * The time for the call or an attempt ran out.
   */
  IMGROUP_E_DEADLINE = -20,
  /**
   * The call was cancelled.
   */
  IMGROUP_E_CANCELLED = -21,
  /**
   * The client was shut down.
   */
  IMGROUP_E_SHUTDOWN = -22,
  /**
   * No quota slot could be had before the deadline.
   */
  IMGROUP_E_QUOTA = -23,
  /**
   * The process ran out of descriptors, threads or memory.
   */
  IMGROUP_E_RESOURCE = -30,
  /**
   * An internal error of the library was caught.
   */
  IMGROUP_E_PANIC = -31,
  /**
   * The journal belongs to another job.
   */
  IMGROUP_E_JOB_MISMATCH = -40,
  /**
   * Another run holds the journal.
   */
  IMGROUP_E_JOB_BUSY = -41,
  /**
   * The journal is damaged.
   */
  IMGROUP_E_JOB_CORRUPT = -42,
  /**
   * The job stopped before its end and can be resumed.
   */
  IMGROUP_E_JOB_STOPPED = -43,
} imgroup_code;

/**
 * What kind of failure an error is; see imgroup_error_class.
 */
typedef enum {
  /**
   * An argument or a setting breaks a rule, or the service refused a value.
   */
  IMGROUP_CLASS_ARGUMENT = 1,
  /**
   * The service could not be reached, or the reply was lost.
   */
  IMGROUP_CLASS_NETWORK = 2,
  /**
   * The deadline passed.
   */
  IMGROUP_CLASS_DEADLINE = 3,
  /**
   * The caller cancelled, or shut the client down.
   */
  IMGROUP_CLASS_CANCELLED = 4,
  /**
   * Too many requests for the quota of the app.
   */
  IMGROUP_CLASS_THROTTLED = 5,
  /**
   * Credentials, permissions or the state of the app.
   */
  IMGROUP_CLASS_AUTH = 6,
  /**
   * The account, friend or list does not exist.
   */
  IMGROUP_CLASS_NOT_FOUND = 7,
  /**
   * The service failed, or its reply makes no sense.
   */
  IMGROUP_CLASS_SERVER = 8,
  /**
   * This library or the process ran out of something.
   */
  IMGROUP_CLASS_INTERNAL = 9,
} imgroup_class;

/**
 * What became of a failed request; see imgroup_error_outcome.
 */
typedef enum {
  /**
   * Nothing was sent that could have been applied.
   */
  IMGROUP_OUTCOME_NOT_SENT = 0,
  /**
   * The service answered and refused; nothing was applied.
   */
  IMGROUP_OUTCOME_REJECTED = 1,
  /**
   * It may have been applied, or not.
   */
  IMGROUP_OUTCOME_UNKNOWN = 2,
} imgroup_outcome;

/**
 * Flags of imgroup_request.
 */
typedef enum {
  /**
   * The command does no harm when it is applied twice, so it may be repeated
   * when its outcome is open.
   */
  IMGROUP_REQUEST_IDEMPOTENT = 1,
} imgroup_request_flag;

/**
 * How important a log line is.
 */
typedef enum {
  /**
   * A call failed.
   */
  IMGROUP_LOG_ERROR = 1,
  /**
   * Something is worse than it should be, but the library copes.
   */
  IMGROUP_LOG_WARNING = 2,
  /**
   * Rare events of normal work.
   */
  IMGROUP_LOG_INFO = 3,
  /**
   * Every attempt.
   */
  IMGROUP_LOG_DEBUG = 4,
} imgroup_log_level;

/**
 * What a job does with each account.
 */
typedef enum {
  /**
   * Deletes the lists that the rows name.
   */
  IMGROUP_JOB_DELETE = 1,
  /**
   * Reads the lists of the accounts that the rows name.
   */
  IMGROUP_JOB_EXPORT = 2,
} imgroup_job_command;

/**
 * What imgroup_job_count counts.
 */
typedef enum {
  /**
   * Rows to do; 0 while the input is being read.
   */
  IMGROUP_JOB_ROWS = 1,
  /**
   * Rows that ended well: deleted, or read by an export.
   */
  IMGROUP_JOB_DONE = 2,
  /**
   * Rows whose list was gone already, as a read showed.
   */
  IMGROUP_JOB_ALREADY_GONE = 3,
  /**
   * Rows that were refused.
   */
  IMGROUP_JOB_FAILED = 4,
  /**
   * Rows that may have been applied, or not.
   */
  IMGROUP_JOB_UNKNOWN = 5,
  /**
   * Rows among the four above that earlier runs had ended.
   */
  IMGROUP_JOB_RESUMED = 6,
  /**
   * Requests that this run sent, repeats included.
   */
  IMGROUP_JOB_REQUESTS = 7,
  /**
   * Connections in use.
   */
  IMGROUP_JOB_CONNECTIONS = 8,
  /**
   * Milliseconds that requests of this run waited for the pace, all added.
   */
  IMGROUP_JOB_WAITED_MS = 9,
  /**
   * Milliseconds since this run began, or that it took.
   */
  IMGROUP_JOB_ELAPSED_MS = 10,
} imgroup_job_counter;

/**
 * What one call asks for beyond its arguments: its own deadline, and the means to
 * cancel it. Optional: every call takes NULL for the defaults. May be used for
 * any number of calls, one after the other. One thread at a time, but for
 * imgroup_call_cancel.
 */
typedef struct imgroup_call imgroup_call;

/**
 * A client of the service. May be used from many threads at once, and in a child
 * after fork(). It keeps connections, the ticket and the order of writes on each
 * account, so make one and keep it.
 *
 * To end it: imgroup_client_shutdown, then imgroup_client_free. Freeing it while
 * another thread is inside one of its calls is safe; beginning a call with it
 * during or after the free is not.
 */
typedef struct imgroup_client imgroup_client;

/**
 * What a client is made from. One thread at a time. imgroup_client_new copies
 * it: it may be changed, used again or freed afterwards.
 */
typedef struct imgroup_config imgroup_config;

/**
 * Why a call failed. One thread at a time.
 *
 * All getters take NULL and then answer as for no error: 0, or "". No secret key
 * and no UserSig ever stands in an error.
 */
typedef struct imgroup_error imgroup_error;

/**
 * A job: one command for many accounts, millions if need be, with a journal so
 * that a run which was stopped or killed goes on where it ended and repeats no
 * more than was in flight.
 *
 * Rows come from a file or are pushed one by one, in any order. They are all
 * checked before the first request leaves. Rows of one account are sent together,
 * up to 32 lists a request, and two requests of one account never overlap. Pace,
 * retries and lists that are already gone are dealt with as everywhere in this
 * library. Each row ends once: done, already gone, failed or unknown.
 *
 * Beside the journal J stand J.spool, the requests, and J.results. The three
 * belong together; remove them together when they are of no more use. Reading the
 * input takes at most twice its size on that disk.
 *
 * One thread at a time, but for imgroup_job_pause, imgroup_job_cancel and
 * imgroup_job_count, which any thread may call. While imgroup_job_run is under
 * way, every other function that can fail gives IMGROUP_E_INVALID_ARGUMENT, also
 * to the progress callback. A job is for the process that made it, not for its
 * children after fork().
 */
typedef struct imgroup_job imgroup_job;

/**
 * What a call gave. One thread at a time.
 *
 * All getters take NULL and an index out of range, and then answer 0 or NULL.
 */
typedef struct imgroup_response imgroup_response;

/**
 * Is asked before every request. `command` is the last part of the URL path, as
 * "group_delete", borrowed for the length of the call.
 *
 * Returns how many milliseconds to wait before the request may leave, or a
 * negative number to refuse it.
 */
typedef int64_t (*imgroup_quota_callback)(void *userdata, const char *command);

/**
 * Is told once that the library has no more use for `userdata`.
 */
typedef void (*imgroup_drop_callback)(void *userdata);

/**
 * Receives log lines. `message` is borrowed for the length of the call.
 */
typedef void (*imgroup_log_callback)(void *userdata,
                                     int32_t level,
                                     const char *message);

/**
 * Is told how a job goes on; imgroup_job_count has the numbers.
 */
typedef void (*imgroup_job_callback)(void *userdata, const imgroup_job *job);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the loaded library as text, "0.1.0". Compare
 * imgroup_version_number with IMGROUP_VERSION_NUMBER to find out whether the
 * header fits: same major and minor, and a patch not below the header's.
 *
 * @return a text that lives for ever.
 *
 * May be called from any thread.
 */
IMGROUP_API const char *imgroup_version(void);

/**
 * The version of the loaded library as a number, to compare.
 *
 * @return MAJOR * 1000000 + MINOR * 1000 + PATCH.
 *
 * May be called from any thread.
 */
IMGROUP_API uint32_t imgroup_version_number(void);

/**
 * The symbolic name of a code: "IMGROUP_E_DEADLINE", or the vendor's own name
 * for a code of the service, "ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND".
 *
 * @param code  whatever a function returned.
 * @return a text that lives for ever, "UNKNOWN" for a code nobody documented;
 *         never NULL.
 *
 * May be called from any thread.
 */
IMGROUP_API const char *imgroup_code_name(int32_t code);

/**
 * The class a code belongs to.
 *
 * @param code  whatever a function returned.
 * @return one of enum imgroup_class; 0 for IMGROUP_OK.
 *
 * May be called from any thread.
 */
IMGROUP_API int32_t imgroup_code_class(int32_t code);

/**
 * The name of a class: "network", "not_found", …
 *
 * @param class_number  one of enum imgroup_class.
 * @return a text that lives for ever, "" for another number; never NULL.
 *
 * May be called from any thread.
 */
IMGROUP_API const char *imgroup_class_name(int32_t class_number);

/**
 * The name of an outcome: "NOT_SENT", "REJECTED" or "UNKNOWN".
 *
 * @param outcome  one of enum imgroup_outcome.
 * @return a text that lives for ever, "" for another number; never NULL.
 *
 * May be called from any thread.
 */
IMGROUP_API const char *imgroup_outcome_name(int32_t outcome);

/**
 * The code, the same that the function returned.
 *
 * @param error  an error, or NULL.
 * @return negative for a code of enum imgroup_code, positive for the service's
 *         ErrorCode, 0 for NULL.
 */
IMGROUP_API int32_t imgroup_error_code(const imgroup_error *error);

/**
 * The symbolic name of the code, as imgroup_code_name gives it.
 *
 * @param error  an error, or NULL.
 * @return a text that lives for ever; "" for NULL.
 */
IMGROUP_API const char *imgroup_error_name(const imgroup_error *error);

/**
 * What went wrong, for a developer or a log: command, reason, the service's own
 * text, advice, attempts, host, random and outcome, in one line.
 *
 * @param error  an error, or NULL.
 * @return a text borrowed from the error; "" for NULL.
 */
IMGROUP_API const char *imgroup_error_message(const imgroup_error *error);

/**
 * The service's text meant for end users (ErrorDisplay); mostly empty.
 *
 * @param error  an error, or NULL.
 * @return a text borrowed from the error; "" for NULL.
 */
IMGROUP_API const char *imgroup_error_display(const imgroup_error *error);

/**
 * What kind of failure it is, one of enum imgroup_class. Choose by it what to
 * do: it stays right when the service adds codes.
 *
 * @param error  an error, or NULL.
 * @return the class; 0 for NULL.
 */
IMGROUP_API int32_t imgroup_error_class(const imgroup_error *error);

/**
 * What became of the request, one of enum imgroup_outcome: the worst over all
 * attempts of the call.
 *
 * @param error  an error, or NULL.
 * @return the outcome; IMGROUP_OUTCOME_NOT_SENT for NULL.
 */
IMGROUP_API int32_t imgroup_error_outcome(const imgroup_error *error);

/**
 * Whether the same call may succeed later, unchanged. It does not say whether
 * repeating is harmless: see imgroup_error_outcome.
 *
 * @param error  an error, or NULL.
 * @return 1 if so, 0 if not or for NULL.
 */
IMGROUP_API int32_t imgroup_error_is_retryable(const imgroup_error *error);

/**
 * The HTTP status of the last reply.
 *
 * @param error  an error, or NULL.
 * @return the status; 0 if there was no reply, or for NULL.
 */
IMGROUP_API int32_t imgroup_error_http_status(const imgroup_error *error);

/**
 * How many requests were sent or tried to be sent.
 *
 * @param error  an error, or NULL.
 * @return the number; 0 if none, or for NULL.
 */
IMGROUP_API uint32_t imgroup_error_attempts(const imgroup_error *error);

/**
 * The host of the last attempt.
 *
 * @param error  an error, or NULL.
 * @return a text borrowed from the error; "" if there was no attempt, or for NULL.
 */
IMGROUP_API
const char *imgroup_error_host(const imgroup_error *error);

/**
 * The `random` of the last attempt: the number in its URL by which the vendor's
 * support finds a request.
 *
 * @param error  an error, or NULL.
 * @return the number; 0 if there was no attempt, or for NULL.
 */
IMGROUP_API uint32_t imgroup_error_random(const imgroup_error *error);

/**
 * Frees an error and all texts borrowed from it.
 *
 * @param error  an error, or NULL.
 */
IMGROUP_API void imgroup_error_free(imgroup_error *error);

/**
 * Makes a configuration from the credentials of an app. A region or an endpoint
 * has to be set before a client can be made from it.
 *
 * @param sdkappid    the SDKAppID of the app, not 0.
 * @param identifier  an admin account of the app: 1 to 32 bytes of printable
 *                    ASCII. "administrator" unless changed in the console.
 * @param secret_key  the key of the app as printed in the console: 1 to 1024
 *                    bytes. Copied, and wiped when the last user is freed.
 * @param config      out: the handle; free it with imgroup_config_free.
 * @param error       out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_INVALID_ARGUMENT or IMGROUP_E_INVALID_UTF8.
 */
IMGROUP_API
int32_t imgroup_config_new(uint32_t sdkappid,
                           const char *identifier,
                           const char *secret_key,
                           imgroup_config **config,
                           imgroup_error **error);

/**
 * Makes a configuration from the environment: IMGROUP_SDKAPPID,
 * IMGROUP_IDENTIFIER, IMGROUP_SECRET_KEY (or IMGROUP_SECRET_KEY_FILE),
 * IMGROUP_REGION or IMGROUP_ENDPOINT, and, where set, IMGROUP_CA_FILE,
 * IMGROUP_TIMEOUT_MS, IMGROUP_QUOTA_DIR, IMGROUP_QUOTA_SHARE (such as 0.5) and
 * IMGROUP_QUOTA_REDIS. The only function that reads the environment; no other
 * thread may change it meanwhile.
 *
 * @param config  out: the handle; free it with imgroup_config_free.
 * @param error   out, may be NULL: which variable is missing or wrong.
 * @return IMGROUP_OK, IMGROUP_E_CONFIG, IMGROUP_E_INVALID_ARGUMENT or
 *         IMGROUP_E_INVALID_UTF8.
 */
IMGROUP_API
int32_t imgroup_config_from_env(imgroup_config **config,
                                imgroup_error **error);

/**
 * Sets the data centre the app lives in: its host and backup host. Which one that
 * is was chosen when the app was made, and stands in the console.
 *
 * @param config  the configuration.
 * @param region  "cn", "sgp", "kr", "jpn", "ger", "usa" or "idn"; also "ind",
 *                which left the vendor's documentation in 2024, and "ksa", which
 *                is known from code only.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
 */
IMGROUP_API
int32_t imgroup_config_set_region(imgroup_config *config,
                                  const char *region,
                                  imgroup_error **error);

/**
 * Sets any other host, in place of a region's, and takes the backup host away.
 * For an emulator, a gateway of one's own, or a data centre that is newer than
 * this library.
 *
 * @param config  the configuration.
 * @param url     "https://host" or "https://host:port"; "http://" to loopback
 *                addresses only, for an emulator.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
 */
IMGROUP_API
int32_t imgroup_config_set_endpoint(imgroup_config *config,
                                    const char *url,
                                    imgroup_error **error);

/**
 * Sets the host to try when the first one cannot be reached or shows a wrong
 * certificate. A region brings its own. After three such failures in a row it is
 * used for 30 s before the first one is tried again.
 *
 * @param config  the configuration.
 * @param url     as for imgroup_config_set_endpoint.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
 */
IMGROUP_API
int32_t imgroup_config_set_backup_endpoint(imgroup_config *config,
                                           const char *url,
                                           imgroup_error **error);

/**
 * Sets whom to trust as certificate authority. Certificates are always verified:
 * there is no switch against it.
 *
 * @param config  the configuration.
 * @param path    a PEM file; "system" for the operating system's bundle; "" for
 *                the Mozilla roots that are built in (the default). Read by
 *                imgroup_client_new.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or an argument error.
 */
IMGROUP_API
int32_t imgroup_config_set_ca_file(imgroup_config *config,
                                   const char *path,
                                   imgroup_error **error);

/**
 * Sets an HTTP proxy that knows CONNECT. It sees the host name, never a request.
 * Plain HTTP to loopback goes past it. No proxy is ever taken from the
 * environment.
 *
 * @param config  the configuration.
 * @param url     "http://host:port"; "" for none (the default).
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
 */
IMGROUP_API
int32_t imgroup_config_set_proxy(imgroup_config *config,
                                 const char *url,
                                 imgroup_error **error);

/**
 * Sets the directory of the small files by which all processes of a user share
 * the pace, "/dev/shm" unless set. Mount one directory into several containers to
 * share it between them. Where it cannot be used, the pace is the process's own
 * and the log says so.
 *
 * @param config  the configuration.
 * @param path    a directory.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_CONFIG or an argument error.
 */
IMGROUP_API
int32_t imgroup_config_set_quota_directory(imgroup_config *config,
                                           const char *path,
                                           imgroup_error **error);

/**
 * Shares the pace with other machines through Redis (5 or newer) or Valkey, in
 * place of the machine's own. The quota belongs to the app: more machines give
 * availability, not speed. All of them set the same quota.
 *
 * While Redis cannot be used, and for 2.5 s with each new connection, the machine
 * keeps to its part by imgroup_config_set_quota_share: set that to 1/n. A change
 * is logged as a warning, and "redis_away" in the statistics counts the requests
 * that left without Redis. Redis should be near: each client asks for one slot
 * after the other. The library runs a thread for each client and command that is
 * in use.
 *
 * Works where the library was built with the cargo feature `redis`: in the imgroup
 * command and in the Python wheel. Otherwise it always fails; the function is
 * there so that programs which try it link with any build.
 *
 * @param config  the configuration.
 * @param url     "redis://host", "redis://user:password@host:port/database",
 *                "rediss://..." for TLS (trust as by imgroup_config_set_ca_file)
 *                or "unix:///path". Copied. No message or log line ever shows the
 *                password.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_CONFIG for a URL that makes no sense and where
 *         the feature is missing, IMGROUP_E_HANDLE or an argument error.
 */
IMGROUP_API
int32_t imgroup_config_set_quota_redis(imgroup_config *config,
                                       const char *url,
                                       imgroup_error **error);

/**
 * Sets how long a call may take, all attempts, pauses and waits included. A call
 * can have a time of its own: imgroup_call_set_timeout_ms.
 *
 * @param config      the configuration.
 * @param timeout_ms  1 to 600000 milliseconds; 0 for the default of 15000.
 * @param error       out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_timeout_ms(imgroup_config *config,
                                      uint32_t timeout_ms,
                                      imgroup_error **error);

/**
 * Sets how long one attempt may take, so that a lost reply leaves time for
 * another one. The service itself gives up after 3000 ms ("RESTful API
 * Overview").
 *
 * @param config      the configuration.
 * @param timeout_ms  1 to 600000 milliseconds; 0 for the default of 5000.
 * @param error       out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_attempt_timeout_ms(imgroup_config *config,
                                              uint32_t timeout_ms,
                                              imgroup_error **error);

/**
 * Sets how long resolving the host name may take.
 *
 * @param config      the configuration.
 * @param timeout_ms  1 to 600000 milliseconds; 0 for the default of 2000.
 * @param error       out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_resolve_timeout_ms(imgroup_config *config,
                                              uint32_t timeout_ms,
                                              imgroup_error **error);

/**
 * Sets how long the TCP connection to one host may take to come about.
 *
 * @param config      the configuration.
 * @param timeout_ms  1 to 600000 milliseconds; 0 for the default of 3100.
 * @param error       out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_connect_timeout_ms(imgroup_config *config,
                                              uint32_t timeout_ms,
                                              imgroup_error **error);

/**
 * Sets how often a call is tried in all. A write conflict (30008) is tried up to
 * five times all the same, unless this is 1.
 *
 * @param config    the configuration.
 * @param attempts  1 to 5; 0 for the default of 3.
 * @param error     out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_max_attempts(imgroup_config *config,
                                        uint32_t attempts,
                                        imgroup_error **error);

/**
 * Sets the life of the tickets that the client signs for itself. They are renewed
 * at 80 % of it.
 *
 * @param config  the configuration.
 * @param ttl_s   60 to 1576800000 seconds; 0 for the default of 86400.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_usersig_ttl_s(imgroup_config *config,
                                         uint32_t ttl_s,
                                         imgroup_error **error);

/**
 * Sets the longest reply that is accepted; a longer one is IMGROUP_E_BAD_REPLY.
 *
 * @param config  the configuration.
 * @param bytes   1024 to 16777216; 0 for the default of 1048576.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_max_reply_bytes(imgroup_config *config,
                                           uint32_t bytes,
                                           imgroup_error **error);

/**
 * Sets what the service allows the app, for each command by itself. Requests
 * leave evenly spaced at nine tenths of it, over all processes of this user on
 * the machine.
 *
 * @param config               the configuration.
 * @param requests_per_second  1 to 1000000; 0 for what is documented: 200, and
 *                             100 for account_check, account_delete and
 *                             multiaccount_import ("Limits").
 * @param error                out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_quota(imgroup_config *config,
                                 uint32_t requests_per_second,
                                 imgroup_error **error);

/**
 * Sets the part of the quota that this machine may use: 1/n where n machines
 * serve one app. With imgroup_config_set_quota_redis it holds while Redis is away.
 *
 * @param config  the configuration.
 * @param share   0.001 to 1; 1 is the default.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_CONFIG.
 */
IMGROUP_API
int32_t imgroup_config_set_quota_share(imgroup_config *config,
                                       double share,
                                       imgroup_error **error);

/**
 * Sets a limiter of the caller's own that is asked before every request, in place
 * of the built-in pace; the library does the waiting.
 *
 * The callback runs on the thread of the call, possibly on several at once. It
 * must not call the same client and must not throw or jump out.
 *
 * @param config    the configuration.
 * @param acquire   the limiter; NULL for the machine's own pace.
 * @param userdata  passed to `acquire`. The library takes it over in any case,
 *                  also when this function fails.
 * @param drop      called with `userdata` when neither the configuration nor a
 *                  client uses it any more; may be NULL.
 * @param error     out, may be NULL: why it failed.
 * @return IMGROUP_OK or IMGROUP_E_HANDLE.
 */
IMGROUP_API
int32_t imgroup_config_set_quota_callback(imgroup_config *config,
                                          imgroup_quota_callback acquire,
                                          void *userdata,
                                          imgroup_drop_callback drop,
                                          imgroup_error **error);

/**
 * Sets where log lines go. Without this, the library says nothing.
 *
 * The callback runs on the thread of the call, possibly on several at once. It
 * must not call the same client and must not throw or jump out. No secret key
 * and no UserSig ever stands in a line.
 *
 * @param config    the configuration.
 * @param level     the least important level wanted, one of enum
 *                  imgroup_log_level.
 * @param log       the receiver; NULL for none.
 * @param userdata  passed to `log`. The library takes it over in any case, also
 *                  when this function fails.
 * @param drop      called with `userdata` when neither the configuration nor a
 *                  client uses it any more; may be NULL.
 * @param error     out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_config_set_log_callback(imgroup_config *config,
                                        int32_t level,
                                        imgroup_log_callback log,
                                        void *userdata,
                                        imgroup_drop_callback drop,
                                        imgroup_error **error);

/**
 * Frees a configuration. Clients made from it are not touched.
 *
 * @param config  a configuration, or NULL.
 */
IMGROUP_API void imgroup_config_free(imgroup_config *config);

/**
 * Makes a client. Reads the CA file, if one is set; connects nowhere yet.
 *
 * @param config  the configuration; copied.
 * @param client  out: the handle; free it with imgroup_client_free.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_INVALID_ARGUMENT, or
 *         IMGROUP_E_CONFIG if no host is set or the CA file cannot be used.
 */
IMGROUP_API
int32_t imgroup_client_new(const imgroup_config *config,
                           imgroup_client **client,
                           imgroup_error **error);

/**
 * Deletes friend lists of an account (v4/sns/group_delete, "Deleting a List").
 * The friends in them stay friends.
 *
 * Writes on one account are sent one after the other, and deletes that wait for
 * the same account leave as one request. A delete is safe to repeat, so the
 * library does that when an attempt fails without a clear answer. If a list turns
 * out to be missing after such an attempt, or imgroup_call_set_ignore_missing was
 * set, it reads the account's lists and succeeds when none of the names is left.
 *
 * @param client     the client.
 * @param account    whose lists: 1 to 32 bytes.
 * @param names      which lists: 1 to 32 names of 1 to 30 bytes.
 * @param names_len  how many names.
 * @param call       deadline and cancellation; NULL for the defaults.
 * @param response   out, may be NULL: what the service answered; free it with
 *                   imgroup_response_free.
 * @param error      out, may be NULL: why it failed.
 * @return IMGROUP_OK when none of the lists exists any more; a code of enum
 *         imgroup_code; or the service's ErrorCode, among them 30001 (a list does
 *         not exist, or a parameter is wrong), 30003 (no such account).
 */
IMGROUP_API
int32_t imgroup_delete_lists(imgroup_client *client,
                             const char *account,
                             const char *const *names,
                             size_t names_len,
                             imgroup_call *call,
                             imgroup_response **response,
                             imgroup_error **error);

/**
 * Creates friend lists of an account, and puts friends into every one of them
 * (v4/sns/group_add, "Adding a List"). An account has 32 lists at most.
 *
 * Adding is not safe to repeat. If an attempt fails without a clear answer, the
 * call fails with the outcome IMGROUP_OUTCOME_UNKNOWN.
 *
 * A friend that could not be put into the lists does not fail the call: see
 * imgroup_response_result_code.
 *
 * @param client       the client.
 * @param account      whose lists: 1 to 32 bytes.
 * @param names        which lists: 1 to 32 names of 1 to 30 bytes without control
 *                     characters.
 * @param names_len    how many names.
 * @param friends      who is put into each of them: up to 1000 accounts of 1 to
 *                     32 bytes; (NULL, 0) for nobody.
 * @param friends_len  how many friends.
 * @param call         deadline and cancellation; NULL for the defaults.
 * @param response     out, may be NULL: what the service answered; free it with
 *                     imgroup_response_free.
 * @param error        out, may be NULL: why it failed.
 * @return IMGROUP_OK, a code of enum imgroup_code, or the service's ErrorCode,
 *         among them 30001 (a list exists already), 30003 (no such account),
 *         30011 (32 lists already).
 */
IMGROUP_API
int32_t imgroup_add_lists(imgroup_client *client,
                          const char *account,
                          const char *const *names,
                          size_t names_len,
                          const char *const *friends,
                          size_t friends_len,
                          imgroup_call *call,
                          imgroup_response **response,
                          imgroup_error **error);

/**
 * Reads friend lists of an account (v4/sns/group_get, "Pulling Lists").
 *
 * @param client        the client.
 * @param account       whose lists: 1 to 32 bytes.
 * @param names         which lists: up to 32 names; (NULL, 0) for all.
 * @param names_len     how many names.
 * @param with_members  0: names and sizes only; anything else: the members too.
 * @param call          deadline and cancellation; NULL for the defaults.
 * @param response      out, may be NULL: the lists; free it with
 *                      imgroup_response_free.
 * @param error         out, may be NULL: why it failed.
 * @return IMGROUP_OK, a code of enum imgroup_code, or the service's ErrorCode,
 *         among them 30003 (no such account).
 */
IMGROUP_API
int32_t imgroup_get_lists(imgroup_client *client,
                          const char *account,
                          const char *const *names,
                          size_t names_len,
                          int32_t with_members,
                          imgroup_call *call,
                          imgroup_response **response,
                          imgroup_error **error);

/**
 * Sends any other command of the REST API, with the same signing, pace, retries
 * and errors. The reply is imgroup_response_body.
 *
 * A command of v4/sns that writes waits for its turn among the writes on its
 * From_Account.
 *
 * @param client    the client.
 * @param command   "v4/SERVICE/COMMAND", as "v4/sns/friend_get".
 * @param body      a JSON object of up to 1048576 bytes; "{}" for nothing.
 * @param body_len  its length in bytes.
 * @param flags     0, or IMGROUP_REQUEST_IDEMPOTENT.
 * @param call      deadline and cancellation; NULL for the defaults.
 * @param response  out, may be NULL: what the service answered; free it with
 *                  imgroup_response_free.
 * @param error     out, may be NULL: why it failed.
 * @return IMGROUP_OK, a code of enum imgroup_code, or the service's ErrorCode.
 */
IMGROUP_API
int32_t imgroup_request(imgroup_client *client,
                        const char *command,
                        const char *body,
                        size_t body_len,
                        uint32_t flags,
                        imgroup_call *call,
                        imgroup_response **response,
                        imgroup_error **error);

/**
 * What this client did so far, for an operator: calls, attempts, retries by
 * reason, outcomes, connections, quota waits, latencies.
 *
 * @param client  the client.
 * @param text    out: a JSON object; free it with imgroup_string_free. Members
 *                may be added in later versions.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_client_stats(imgroup_client *client,
                             char **text,
                             imgroup_error **error);

/**
 * Ends all calls of the client within 50 ms, with IMGROUP_E_SHUTDOWN, and lets no
 * more begin. For good, and idempotent. Does nothing for NULL.
 *
 * @param client  the client.
 */
IMGROUP_API
void imgroup_client_shutdown(imgroup_client *client);

/**
 * Frees a client. Calls of other threads that are inside go on and end normally;
 * to end them too, call imgroup_client_shutdown first.
 *
 * @param client  a client, or NULL.
 */
IMGROUP_API
void imgroup_client_free(imgroup_client *client);

/**
 * Makes the control of a call.
 *
 * @param call   out: the handle; free it with imgroup_call_free.
 * @param error  out, may be NULL: why it failed.
 * @return IMGROUP_OK, or IMGROUP_E_INVALID_ARGUMENT if `call` is NULL.
 */
IMGROUP_API
int32_t imgroup_call_new(imgroup_call **call,
                         imgroup_error **error);

/**
 * Sets how long a call with this control may take, all attempts and pauses
 * included.
 *
 * @param call        the control.
 * @param timeout_ms  1 to 600000 milliseconds; 0 for the client's own.
 * @param error       out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_call_set_timeout_ms(imgroup_call *call,
                                    uint32_t timeout_ms,
                                    imgroup_error **error);

/**
 * Sets whether imgroup_delete_lists with this control succeeds when a list does
 * not exist. The service may refuse the whole request for one missing list; the
 * library then reads the account's lists and deletes those that are left. It
 * costs up to two requests more.
 *
 * @param call            the control.
 * @param ignore_missing  0: a missing list may fail the call, as the service
 *                        decides (the default); anything else: it does not.
 * @param error           out, may be NULL: why it failed.
 * @return IMGROUP_OK or IMGROUP_E_HANDLE.
 */
IMGROUP_API
int32_t imgroup_call_set_ignore_missing(imgroup_call *call,
                                        int32_t ignore_missing,
                                        imgroup_error **error);

/**
 * Ends the call that uses this control, within 50 ms wherever it waits, with
 * IMGROUP_E_CANCELLED; its outcome tells what may have become of it. Sticky:
 * later calls with this control fail at once, until imgroup_call_reset. Does
 * nothing for NULL.
 *
 * Any thread may call this, also while another one uses the control, but not
 * during or after imgroup_call_free.
 *
 * @param call  the control.
 */
IMGROUP_API void imgroup_call_cancel(imgroup_call *call);

/**
 * Allows calls again after imgroup_call_cancel. Not while a call uses it. Does
 * nothing for NULL.
 *
 * @param call  the control.
 */
IMGROUP_API void imgroup_call_reset(imgroup_call *call);

/**
 * Frees the control of a call. Not while a call uses it.
 *
 * @param call  the control, or NULL.
 */
IMGROUP_API void imgroup_call_free(imgroup_call *call);

/**
 * The sequence of the account's lists after the call (CurrentSequence). It
 * changes when the lists change; nothing else is promised of it.
 *
 * @param response  a response, or NULL.
 * @return the sequence; 0 if the reply held none, which
 *         imgroup_response_has_sequence tells apart.
 */
IMGROUP_API
uint64_t imgroup_response_sequence(const imgroup_response *response);

/**
 * Whether the reply held a sequence.
 *
 * @param response  a response, or NULL.
 * @return 1 if so, else 0.
 */
IMGROUP_API
int32_t imgroup_response_has_sequence(const imgroup_response *response);

/**
 * How many times the request was sent. What the library read to find out whether a
 * list is gone does not count.
 *
 * @param response  a response, or NULL.
 * @return their number, 1 if all went well at once; 0 for NULL.
 */
IMGROUP_API
uint32_t imgroup_response_attempts(const imgroup_response *response);

/**
 * Whether an attempt before the last one may have been applied already.
 *
 * @param response  a response, or NULL.
 * @return 1 if so, else 0.
 */
IMGROUP_API
int32_t imgroup_response_was_ambiguous(const imgroup_response *response);

/**
 * The body of the last reply: a JSON object, unchanged, with a NUL behind it.
 *
 * @param response  a response, or NULL.
 * @param length    out, may be NULL: its length in bytes, without the NUL.
 * @return a text borrowed from the response; NULL for NULL.
 */
IMGROUP_API
const char *imgroup_response_body(const imgroup_response *response,
                                  size_t *length);

/**
 * After imgroup_get_lists: how many lists came back.
 *
 * @param response  a response, or NULL.
 * @return their number; 0 after other calls, or for NULL.
 */
IMGROUP_API
size_t imgroup_response_list_count(const imgroup_response *response);

/**
 * The name of a list.
 *
 * @param response  a response, or NULL.
 * @param index     from 0.
 * @return a text borrowed from the response; NULL if there is no such list.
 */
IMGROUP_API
const char *imgroup_response_list_name(const imgroup_response *response,
                                       size_t index);

/**
 * How many friends are in a list, whether they were asked for or not.
 *
 * @param response  a response, or NULL.
 * @param index     from 0.
 * @return their number; 0 if there is no such list.
 */
IMGROUP_API
uint64_t imgroup_response_list_friend_count(const imgroup_response *response,
                                            size_t index);

/**
 * How many members of a list came back.
 *
 * @param response  a response, or NULL.
 * @param index     from 0.
 * @return their number; 0 if they were not asked for, or there is no such list.
 */
IMGROUP_API
size_t imgroup_response_member_count(const imgroup_response *response,
                                     size_t index);

/**
 * The account of a member of a list.
 *
 * @param response  a response, or NULL.
 * @param index     the list, from 0.
 * @param member    the member, from 0.
 * @return a text borrowed from the response; NULL if there is no such member.
 */
IMGROUP_API
const char *imgroup_response_member(const imgroup_response *response,
                                    size_t index,
                                    size_t member);

/**
 * After imgroup_add_lists with friends: for how many of them the service
 * answered.
 *
 * @param response  a response, or NULL.
 * @return their number; 0 after other calls, or for NULL.
 */
IMGROUP_API
size_t imgroup_response_result_count(const imgroup_response *response);

/**
 * Which friend a result is about.
 *
 * @param response  a response, or NULL.
 * @param index     from 0.
 * @return a text borrowed from the response; NULL if there is no such result.
 */
IMGROUP_API
const char *imgroup_response_result_account(const imgroup_response *response,
                                            size_t index);

/**
 * What became of a friend that imgroup_add_lists was to put into the lists. They
 * were created all the same.
 *
 * @param response  a response, or NULL.
 * @param index     from 0.
 * @return IMGROUP_OK, or the service's code for this friend alone, which
 *         imgroup_code_name knows; 0 also if there is no such result.
 */
IMGROUP_API
int32_t imgroup_response_result_code(const imgroup_response *response,
                                     size_t index);

/**
 * The service's text about a friend; may say "OK" or nothing on success.
 *
 * @param response  a response, or NULL.
 * @param index     from 0.
 * @return a text borrowed from the response; NULL if there is no such result.
 */
IMGROUP_API
const char *imgroup_response_result_info(const imgroup_response *response,
                                         size_t index);

/**
 * Frees a response and all texts borrowed from it.
 *
 * @param response  a response, or NULL.
 */
IMGROUP_API void imgroup_response_free(imgroup_response *response);

/**
 * Makes a job, new or to go on with the one that the journal holds.
 *
 * @param client   who sends; the job keeps it alive. imgroup_client_shutdown ends
 *                 a run at once, resumable.
 * @param command  one of enum imgroup_job_command.
 * @param journal  the path of a file, which the first run makes. It is bound to
 *                 the command, the app, the partition and the input; all else may
 *                 change between runs.
 * @param job      out: the handle; free it with imgroup_job_free.
 * @param error    out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or an argument error. Nothing is opened
 *         yet.
 */
IMGROUP_API
int32_t imgroup_job_new(imgroup_client *client,
                        int32_t command,
                        const char *journal,
                        imgroup_job **job,
                        imgroup_error **error);

/**
 * Takes only the accounts of one part, so that several machines share an input: an
 * account is always in the same part. More machines do not go faster, as the pace
 * is the app's; they go on when one is lost.
 *
 * @param job    the job.
 * @param index  which part: 1 to `count`.
 * @param count  how many parts: 1 to 65536. 1/1 is the default.
 * @param error  out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_job_set_partition(imgroup_job *job,
                                  uint32_t index,
                                  uint32_t count,
                                  imgroup_error **error);

/**
 * Sets how many rows may be deleted, those of earlier runs included. The run stops
 * before there are more, with IMGROUP_E_JOB_STOPPED.
 *
 * @param job    the job.
 * @param rows   the limit; 0 for none, the default.
 * @param error  out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_job_set_max_deletes(imgroup_job *job,
                                    uint64_t rows,
                                    imgroup_error **error);

/**
 * Sets the share of a run's rows that may fail or stay unknown. The run stops with
 * IMGROUP_E_JOB_STOPPED when there are more, counted after 1000 rows.
 *
 * @param job    the job.
 * @param share  0 to 1; 0.5 is the default.
 * @param error  out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_job_set_max_failures(imgroup_job *job,
                                     double share,
                                     imgroup_error **error);

/**
 * Sets how many connections, each with a thread, a run uses at most.
 *
 * @param job          the job.
 * @param connections  1 to 256; 0, the default, for as many as latency needs, up
 *                     to 64.
 * @param error        out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_job_set_connections(imgroup_job *job,
                                    uint32_t connections,
                                    imgroup_error **error);

/**
 * Sets for how long a run goes on trying while the service cannot be reached.
 * Until then an outage costs time and no rows. A run that never reached the service
 * stops after 5000 ms at most.
 *
 * @param job    the job.
 * @param ms     100 to 86400000 milliseconds; 0 for the default of 60000.
 * @param error  out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_job_set_give_up_ms(imgroup_job *job,
                                   uint32_t ms,
                                   imgroup_error **error);

/**
 * Takes the rows from a file, which imgroup_job_run reads whole and checks before
 * it sends anything. A journal that was begun needs no input any more; if one is
 * given, it must be the same, or the run is refused with IMGROUP_E_JOB_MISMATCH.
 *
 * CSV and TSV begin with a header line; the columns "account" and, unless it is an
 * export, "list" count, others are ignored. A line of JSONL is an object with these
 * members. One row names one list.
 *
 * @param job     the job, to which no row was pushed.
 * @param path    the file; "/dev/stdin" for standard input.
 * @param format  "csv", "tsv" or "jsonl"; NULL to go by the ending of the path,
 *                CSV if it says nothing.
 * @param error   out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or an argument error. The file is opened by
 *         imgroup_job_run.
 */
IMGROUP_API
int32_t imgroup_job_set_input_file(imgroup_job *job,
                                   const char *path,
                                   const char *format,
                                   imgroup_error **error);

/**
 * Sets who is told how the job goes on.
 *
 * The callback runs on the thread that is inside imgroup_job_run, about ten times a
 * second once requests leave, and a last time at the end. It may call
 * imgroup_job_count, imgroup_job_pause and imgroup_job_cancel. It must not call the
 * same client and must not throw or jump out.
 *
 * @param job       the job.
 * @param progress  the receiver; NULL for none.
 * @param userdata  passed to `progress`. The library takes it over in any case,
 *                  also when this function fails.
 * @param drop      called with `userdata` when the job does not use it any more;
 *                  may be NULL.
 * @param error     out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
 */
IMGROUP_API
int32_t imgroup_job_set_progress(imgroup_job *job,
                                 imgroup_job_callback progress,
                                 void *userdata,
                                 imgroup_drop_callback drop,
                                 imgroup_error **error);

/**
 * Takes one row. It is checked now and sent by imgroup_job_run. The first one opens
 * the journal. To go on with a journal that was begun, push nothing, or the same
 * rows in the same order.
 *
 * @param job      the job, which has no input file.
 * @param account  whose list: 1 to 32 bytes.
 * @param list     which list: 1 to 30 bytes; NULL for an export.
 * @param error    out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, an argument error, or, from the journal,
 *         IMGROUP_E_CONFIG, IMGROUP_E_JOB_BUSY, IMGROUP_E_JOB_MISMATCH,
 *         IMGROUP_E_JOB_CORRUPT or IMGROUP_E_RESOURCE, as imgroup_job_run. A row that was refused is not part of the job; the
 *         others are.
 */
IMGROUP_API
int32_t imgroup_job_push(imgroup_job *job,
                         const char *account,
                         const char *list,
                         imgroup_error **error);

/**
 * Runs the job until every row has ended or something stops it. Blocks, without a
 * deadline; imgroup_job_pause and imgroup_job_cancel end it from other threads.
 *
 * Whatever stopped it, a crash or kill -9 included, nothing is lost: run a job with
 * the same journal again, this one or a new one, and it goes on. Requests that were
 * in flight when the process was killed are sent again, which does no harm, and
 * their rows are named in the report. A run holds the journal alone.
 *
 * @param job    the job.
 * @param error  out, may be NULL: why it stopped.
 * @return IMGROUP_OK when every row has ended, be it badly: imgroup_job_count and
 *         imgroup_job_report tell.
 *         IMGROUP_E_JOB_STOPPED after imgroup_job_pause, or at a limit that was
 *         set; IMGROUP_E_CANCELLED after imgroup_job_cancel; IMGROUP_E_SHUTDOWN
 *         after imgroup_client_shutdown.
 *         The service's code when it refuses the credentials, or that of the
 *         network when it could not be reached for too long.
 *         IMGROUP_E_INVALID_ARGUMENT if rows of the input are wrong (the message
 *         names the first), there is no input, or the job is running already.
 *         IMGROUP_E_CONFIG if the journal cannot be opened, IMGROUP_E_JOB_BUSY if
 *         another run holds it, IMGROUP_E_JOB_MISMATCH if it belongs to another
 *         job, IMGROUP_E_JOB_CORRUPT if it is damaged, IMGROUP_E_RESOURCE if it
 *         cannot be written; or IMGROUP_E_HANDLE.
 */
IMGROUP_API
int32_t imgroup_job_run(imgroup_job *job,
                        imgroup_error **error);

/**
 * Lets a run end soon: nothing new is sent, what is in flight is waited for. Before
 * a run, the next one ends at once. Does nothing for NULL.
 *
 * Any thread may call this, also while another one is inside imgroup_job_run, but
 * not during or after imgroup_job_free.
 *
 * @param job  the job.
 */
IMGROUP_API
void imgroup_job_pause(imgroup_job *job);

/**
 * As imgroup_job_pause, but what is in flight is ended too, within 50 ms. It is sent
 * again when the job goes on.
 *
 * @param job  the job.
 */
IMGROUP_API
void imgroup_job_cancel(imgroup_job *job);

/**
 * How far the job is, in the run that is under way or was the last.
 *
 * Any thread may call this, as imgroup_job_pause.
 *
 * @param job   a job, or NULL.
 * @param what  one of enum imgroup_job_counter.
 * @return the number; 0 before the first run, for another number, or for NULL.
 */
IMGROUP_API uint64_t imgroup_job_count(const imgroup_job *job, int32_t what);

/**
 * Why the last run stopped before the end, as one word: "pause", "cancel",
 * "credentials", "unreachable", "failures", "max_deletes", "journal", "spool",
 * "threads" or "shutdown".
 *
 * @param job  a job, or NULL.
 * @return a text borrowed from the job until its next run; NULL if the last run
 *         came to its end or never began sending.
 */
IMGROUP_API const char *imgroup_job_stopped_by(const imgroup_job *job);

/**
 * The report of the last run: totals, failures by code, the rows that were sent
 * again after a kill, the rate over time.
 *
 * @param job    the job.
 * @param text   out: a JSON object; free it with imgroup_string_free. Members may
 *               be added in later versions.
 * @param error  out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, or IMGROUP_E_INVALID_ARGUMENT also if the
 *         job has not run yet.
 */
IMGROUP_API
int32_t imgroup_job_report(const imgroup_job *job,
                           char **text,
                           imgroup_error **error);

/**
 * Writes the report of the last run to a file, and as a page to look at to the same
 * name with the ending ".html".
 *
 * @param job    the job.
 * @param path   the JSON file; what is there is replaced.
 * @param error  out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_RESOURCE if it cannot be written,
 *         or an argument error, also if the job has not run yet.
 */
IMGROUP_API
int32_t imgroup_job_write_report(const imgroup_job *job,
                                 const char *path,
                                 imgroup_error **error);

/**
 * Writes the rows that failed or are unknown, those of earlier runs with this
 * journal included, in a form that is an input again, with the reasons beside them.
 * A new job with a journal of its own tries them again.
 *
 * @param job     the job.
 * @param path    the file; what is there is replaced.
 * @param format  as for imgroup_job_set_input_file.
 * @param rows    out, may be NULL: how many; 0 on failure.
 * @param error   out, may be NULL: why it failed.
 * @return as imgroup_job_write_report, and IMGROUP_E_JOB_MISMATCH or
 *         IMGROUP_E_JOB_CORRUPT from the journal.
 */
IMGROUP_API
int32_t imgroup_job_write_failed(const imgroup_job *job,
                                 const char *path,
                                 const char *format,
                                 uint64_t *rows,
                                 imgroup_error **error);

/**
 * Writes the lists that an export found, as CSV with the columns account, list and
 * friends, which is how many are in the list.
 *
 * @param job    the job.
 * @param path   the file; what is there is replaced.
 * @param lists  out, may be NULL: how many; 0 on failure.
 * @param error  out, may be NULL: why it failed.
 * @return as imgroup_job_write_failed.
 */
IMGROUP_API
int32_t imgroup_job_write_lists(const imgroup_job *job,
                                const char *path,
                                uint64_t *lists,
                                imgroup_error **error);

/**
 * Frees a job. Its files stay, to go on with; of rows that were pushed and never
 * run, everything is removed, which is the one case of a free that works on files.
 * A run that another thread is inside goes on and ends normally; to end it too,
 * call imgroup_job_cancel first.
 *
 * @param job  a job, or NULL.
 */
IMGROUP_API
void imgroup_job_free(imgroup_job *job);

/**
 * Makes a UserSig, the ticket with which a user of the app logs in. Servers hand
 * these to their own clients. A client object needs none: it signs for itself.
 *
 * The format is that of the vendor's generators, TLSSigAPIv2 ("Generating
 * UserSig", HMAC-SHA256).
 *
 * @param sdkappid     the SDKAppID of the app, not 0.
 * @param identifier   the user: 1 to 32 bytes of printable ASCII.
 * @param secret_key   the key of the app as printed in the console, not decoded.
 * @param ttl_s        how long it is valid: 1 to 1576800000 seconds (50 years);
 *                     the vendor advises a day or more.
 * @param issued_at    from when on: seconds since 1970, or 0 for now.
 * @param userbuf      bytes for the room permissions of TRTC; (NULL, 0) for IM.
 * @param userbuf_len  their number.
 * @param text         out: the ticket; free it with imgroup_string_free.
 * @param error        out, may be NULL: why it failed.
 * @return IMGROUP_OK, IMGROUP_E_INVALID_ARGUMENT or IMGROUP_E_INVALID_UTF8.
 *
 * May be called from any thread.
 */
IMGROUP_API
int32_t imgroup_usersig(uint32_t sdkappid,
                        const char *identifier,
                        const char *secret_key,
                        uint32_t ttl_s,
                        int64_t issued_at,
                        const uint8_t *userbuf,
                        size_t userbuf_len,
                        char **text,
                        imgroup_error **error);

/**
 * Frees a text that this library gave out as `char *`.
 *
 * @param text  the text, or NULL.
 */
IMGROUP_API void imgroup_string_free(char *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* IMGROUP_H */
