//go:build cgo

package imgroup

/*
#include "binding.h"

// Declared in the form in which cgo exports them.
extern void imgroupGoLog(uintptr_t handle, int32_t level, char *message);
extern int64_t imgroupGoQuota(uintptr_t handle, char *command);
extern void imgroupGoDrop(uintptr_t handle);

static void log_line(void *handle, int32_t level, const char *message) {
	imgroupGoLog((uintptr_t)handle, level, (char *)message);
}

static int64_t quota(void *handle, const char *command) {
	return imgroupGoQuota((uintptr_t)handle, (char *)command);
}

static void drop(void *handle) { imgroupGoDrop((uintptr_t)handle); }

// A handle is a number; made a pointer here, Go never sees it as one.
static int32_t set_log(imgroup_config *config, int32_t level, uintptr_t handle, imgroup_error **error) {
	return imgroup_config_set_log_callback(config, level, log_line, (void *)handle, drop, error);
}

static int32_t set_quota(imgroup_config *config, uintptr_t handle, imgroup_error **error) {
	return imgroup_config_set_quota_callback(config, quota, (void *)handle, drop, error);
}
*/
import "C"

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

// Option sets something of a client that is being made. Options are applied in
// the order in which they are given; a wrong value fails NewClient with
// [ErrArgument], and the message names the setting and its range.
//
// Since v0.1.0.
type Option func(*settings) error

type settings struct {
	config     *C.imgroup_config
	concurrent int
	panicked   *atomic.Pointer[string]
}

const defaultConcurrent = 64

// set applies a setter of C.
func set(setter func(*C.imgroup_config, **C.imgroup_error) C.int32_t) Option {
	return func(s *settings) error {
		var failure *C.imgroup_error
		if code := setter(s.config, &failure); code != C.IMGROUP_OK {
			return takeError(code, failure)
		}
		return nil
	}
}

// setText applies a setter of C that takes a text.
func setText(name, value string, setter func(*C.imgroup_config, *C.char, **C.imgroup_error) C.int32_t) Option {
	return func(s *settings) error {
		arena, err := newArena(text(name, value))
		if err != nil {
			return err
		}
		defer arena.free()
		return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
			return setter(config, arena.text(0), failure)
		})(s)
	}
}

// units counts a duration in units, rounded up. What does not fit becomes the
// largest number, which the library refuses.
func units(duration, unit time.Duration) C.uint32_t {
	if duration < 0 || duration > math.MaxUint32*unit {
		return math.MaxUint32
	}
	count := duration / unit
	if duration%unit != 0 {
		count++
	}
	return C.uint32_t(count)
}

func milliseconds(duration time.Duration) C.uint32_t { return units(duration, time.Millisecond) }

func number(value int) C.uint32_t {
	if value < 0 || value > math.MaxUint32 {
		return math.MaxUint32
	}
	return C.uint32_t(value)
}

// WithRegion sets the data centre that the app lives in, and with it host and
// backup host: "cn", "sgp", "kr", "jpn", "ger", "usa" or "idn"; also "ind", which
// left the vendor's documentation in 2024, and "ksa", which is known from code
// only.
//
// Since v0.1.0. Protocol: "RESTful API Overview".
func WithRegion(region string) Option {
	return setText("region", region, func(config *C.imgroup_config, value *C.char, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_region(config, value, failure)
	})
}

// WithEndpoint sets any other host, in place of a region's, and takes away the
// backup host: "https://host" or "https://host:port"; "http://" to loopback
// addresses only, for an emulator.
//
// Since v0.1.0.
func WithEndpoint(url string) Option {
	return setText("endpoint", url, func(config *C.imgroup_config, value *C.char, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_endpoint(config, value, failure)
	})
}

// WithBackupEndpoint sets the host to try when the first one cannot be reached or
// shows a wrong certificate; written as for [WithEndpoint]. After three such
// failures in a row it is used for 30 s before the first one is tried again.
//
// Since v0.1.0.
func WithBackupEndpoint(url string) Option {
	return setText("backup_endpoint", url, func(config *C.imgroup_config, value *C.char, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_backup_endpoint(config, value, failure)
	})
}

// WithCAFile sets whom to trust as certificate authority: a PEM file; "system"
// for the operating system's bundle; "" for the Mozilla roots that are built in
// (the default). Certificates are always verified.
//
// Since v0.1.0.
func WithCAFile(path string) Option {
	return setText("ca_file", path, func(config *C.imgroup_config, value *C.char, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_ca_file(config, value, failure)
	})
}

// WithProxy sets an HTTP proxy that knows CONNECT, "http://host:port"; "" for
// none (the default). It sees the host name, never a request. Plain HTTP to
// loopback goes past it. No proxy is ever taken from the environment.
//
// Since v0.1.0.
func WithProxy(url string) Option {
	return setText("proxy", url, func(config *C.imgroup_config, value *C.char, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_proxy(config, value, failure)
	})
}

// WithTimeout sets how long a call whose context has no deadline may take, all
// attempts, pauses and waits included: 1 ms to 10 min, 0 for the default of 15 s.
// Waiting for a thread (see [WithMaxConcurrentCalls]) does not count.
//
// Since v0.1.0.
func WithTimeout(timeout time.Duration) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_timeout_ms(config, milliseconds(timeout), failure)
	})
}

// WithAttemptTimeout sets how long one attempt may take: 1 ms to 10 min, 0 for
// the default of 5 s. The service itself gives up after 3 s.
//
// Since v0.1.0. Protocol: "RESTful API Overview".
func WithAttemptTimeout(timeout time.Duration) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_attempt_timeout_ms(config, milliseconds(timeout), failure)
	})
}

// WithResolveTimeout sets how long resolving the host name may take: 1 ms to
// 10 min, 0 for the default of 2 s.
//
// Since v0.1.0.
func WithResolveTimeout(timeout time.Duration) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_resolve_timeout_ms(config, milliseconds(timeout), failure)
	})
}

// WithConnectTimeout sets how long a TCP connection may take: 1 ms to 10 min, 0
// for the default of 3.1 s.
//
// Since v0.1.0.
func WithConnectTimeout(timeout time.Duration) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_connect_timeout_ms(config, milliseconds(timeout), failure)
	})
}

// WithMaxAttempts sets how often a call is tried in all: 1 to 5, 0 for the
// default of 3. A write conflict (30008) is tried up to five times all the same,
// unless this is 1.
//
// Since v0.1.0.
func WithMaxAttempts(attempts int) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_max_attempts(config, number(attempts), failure)
	})
}

// WithUserSigTTL sets the life of the tickets that the client signs for itself:
// 60 s to 50 years (1576800000 s), 0 for the default of 24 h, in whole seconds.
// They are renewed at 80 % of it.
//
// Since v0.1.0. Protocol: "Generating UserSig".
func WithUserSigTTL(ttl time.Duration) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_usersig_ttl_s(config, units(ttl, time.Second), failure)
	})
}

// WithMaxReplyBytes sets the longest reply that is accepted: 1024 to 16777216
// bytes, 0 for the default of 1048576.
//
// Since v0.1.0.
func WithMaxReplyBytes(bytes int) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_max_reply_bytes(config, number(bytes), failure)
	})
}

// WithQuota sets what the service allows the app in requests a second, for each
// command by itself: 1 to 1000000; 0 for what is documented, which is 200, and
// 100 for account_check, account_delete and multiaccount_import. Requests leave
// evenly spaced at nine tenths of it, over all processes of this user on the
// machine.
//
// Since v0.1.0. Protocol: "Limits".
func WithQuota(requestsPerSecond int) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_quota(config, number(requestsPerSecond), failure)
	})
}

// WithQuotaShare sets the part of the quota that this machine may use, 0.001 to
// 1: 1/n where n machines serve one app. 1 is the default.
//
// Since v0.1.0.
func WithQuotaShare(share float64) Option {
	return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_quota_share(config, C.double(share), failure)
	})
}

// WithQuotaDirectory sets the directory of the small files by which all processes
// of a user share the pace, "/dev/shm" unless set. Mount one directory into
// several containers to share it between them.
//
// Since v0.1.0.
func WithQuotaDirectory(path string) Option {
	return setText("quota_directory", path, func(config *C.imgroup_config, value *C.char, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_quota_directory(config, value, failure)
	})
}

// WithQuotaRedis shares the pace with other machines through Redis, at
// "redis://host:port", also with user, password and database, "rediss://" or
// "unix:///path". Set [WithQuotaShare] to 1/n for the time when Redis is away. A
// library that was built without the cargo feature redis refuses it with
// [CodeConfig].
//
// Since v0.1.0.
func WithQuotaRedis(url string) Option {
	return setText("quota_redis", url, func(config *C.imgroup_config, value *C.char, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_config_set_quota_redis(config, value, failure)
	})
}

// WithQuotaFunc asks a limiter of your own before every request, in place of the
// built-in pace. It is given the last part of the URL path, as "group_delete",
// and gives how long to wait before the request may leave (in milliseconds,
// rounded up), or a negative time to refuse it with [CodeQuota]. The library does
// the waiting.
//
// The function runs on the goroutine of the call, possibly on several at once,
// and must not use the client. If it panics, the request is refused and a call
// of the client panics with the same words.
//
// Since v0.1.0.
func WithQuotaFunc(acquire func(command string) time.Duration) Option {
	return func(s *settings) error {
		if acquire == nil {
			return newError(CodeInvalidArgument, "acquire: must not be nil")
		}
		handle := newCallback(&callback{quota: acquire, panicked: s.panicked})
		return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
			return C.set_quota(config, C.uintptr_t(handle), failure)
		})(s)
	}
}

// LogLevel is how important a log line is.
//
// Since v0.1.0.
type LogLevel int32

// The levels, from the most important one on.
//
// Since v0.1.0.
const (
	// LogError: a call failed.
	LogError LogLevel = C.IMGROUP_LOG_ERROR
	// LogWarning: something is worse than it should be, but the library copes.
	LogWarning LogLevel = C.IMGROUP_LOG_WARNING
	// LogInfo: rare events of normal work.
	LogInfo LogLevel = C.IMGROUP_LOG_INFO
	// LogDebug: every attempt.
	LogDebug LogLevel = C.IMGROUP_LOG_DEBUG
)

// Level gives the level of package slog that means the same.
func (l LogLevel) Level() slog.Level {
	switch l {
	case LogError:
		return slog.LevelError
	case LogWarning:
		return slog.LevelWarn
	case LogInfo:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// String gives the name as slog writes it: "ERROR", "WARN", "INFO", "DEBUG".
func (l LogLevel) String() string { return l.Level().String() }

// WithLogger sends log lines to a function: those of the level least and of more
// important ones. Without it the library says nothing. No secret key and no
// UserSig ever stands in a line.
//
// The function runs on the goroutine of the call, possibly on several at once,
// and must not use the client. If it panics, a call of the client panics with the
// same words when it is over.
//
// Since v0.1.0.
func WithLogger(least LogLevel, log func(level LogLevel, message string)) Option {
	return func(s *settings) error {
		if log == nil {
			return newError(CodeInvalidArgument, "log: must not be nil")
		}
		handle := newCallback(&callback{log: log, panicked: s.panicked})
		return set(func(config *C.imgroup_config, failure **C.imgroup_error) C.int32_t {
			return C.set_log(config, C.int32_t(least), C.uintptr_t(handle), failure)
		})(s)
	}
}

// WithSlog sends log lines to a logger of package slog, as far as it is enabled
// for their level when the client is made. The rules are those of [WithLogger].
//
// Since v0.1.0.
func WithSlog(logger *slog.Logger) Option {
	return func(s *settings) error {
		if logger == nil {
			return newError(CodeInvalidArgument, "logger: must not be nil")
		}
		least := LogError
		for _, level := range []LogLevel{LogWarning, LogInfo, LogDebug} {
			if logger.Enabled(context.Background(), level.Level()) {
				least = level
			}
		}
		return WithLogger(least, func(level LogLevel, message string) {
			logger.Log(context.Background(), level.Level(), message)
		})(s)
	}
}

// WithMaxConcurrentCalls sets how many calls of the client may be under way at
// once, 1 to 4096; 64 unless set. Each of them holds one thread of the operating
// system, of which Go does not give back what it once took. Further calls wait
// for their turn as long as their context allows.
//
// Since v0.1.0.
func WithMaxConcurrentCalls(calls int) Option {
	return func(s *settings) error {
		if calls < 1 || calls > 4096 {
			return newError(CodeConfig, "max_concurrent_calls: must be 1 to 4096, not %d", calls)
		}
		s.concurrent = calls
		return nil
	}
}
