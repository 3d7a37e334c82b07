/* imgroup.hpp - friend lists of Tencent Cloud Chat (IM) from a server, for C++17.
 *
 * Licence: MIT OR Apache-2.0.
 *
 * THE LIBRARY IN A PAGE
 *
 *   #include <imgroup.hpp>
 *
 *   imgroup::client client(imgroup::config(1400000000, "administrator", key)
 *                              .region("sgp")
 *                              .timeout(std::chrono::seconds(5)));
 *   try {
 *     imgroup::response reply = client.delete_lists("alice", {"Family", "Work"});
 *     std::cout << "now at sequence " << reply.sequence().value_or(0) << '\n';
 *   } catch (const imgroup::throttled &) {
 *     // later
 *   } catch (const imgroup::error &error) {
 *     std::cerr << error.what() << '\n';
 *   }
 *
 * The same without exceptions, also under -fno-exceptions:
 *
 *   if (auto reply = client.try_delete_lists("alice", {"Family", "Work"}))
 *     use(reply->sequence());
 *   else
 *     log(reply.error().message());
 *
 * RULES
 *
 * It is a thin cover over imgroup.h, header only: link with -limgroup, as for C.
 *   What a call means, when it is repeated, and every limit are said there; this
 *   page says what C++ adds.
 * Two faces. Each call exists twice: `name` throws, `try_name` returns a result.
 *   Under -fno-exceptions there is only the second.
 * Values. config, call, client, response and job own a C handle each: they are
 *   moved, not copied, and free what they hold. One that was moved from may be destroyed
 *   or assigned to; a call with it fails with IMGROUP_E_HANDLE. failure and the
 *   exceptions are plain values that hold no handle: copy and keep them, and read
 *   them from any thread.
 * Setters of config, call and job never throw. The first one that is refused is
 *   remembered, and is what making the client, the next call, or the run fails
 *   with; the message names the setting. So one place handles them.
 * Texts go in as std::string_view (UTF-8), are copied, and must hold no NUL byte:
 *   a text that does is IMGROUP_E_INVALID_ARGUMENT. They come out as std::string,
 *   except where borrowing is said.
 * Times are any std::chrono::duration, rounded up to what the C function takes,
 *   and must be positive: the default is had by not setting them.
 * Threads. A client may be used from many threads at once, so its members are
 *   const. The others are for one thread at a time, except call::cancel, job::pause,
 *   job::cancel and job::progress.
 */

#ifndef IMGROUP_HPP
#define IMGROUP_HPP

#if !defined(__cplusplus) || (__cplusplus < 201703L && (!defined(_MSVC_LANG) || _MSVC_LANG < 201703L))
#error "imgroup.hpp needs C++17 or later; imgroup.h serves C and older C++"
#endif

#include <imgroup.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/** The oldest imgroup.h of the same major and minor that this file can do with. */
#define IMGROUP_HPP_VERSION_NUMBER 1000

#if IMGROUP_VERSION_NUMBER / 1000 != IMGROUP_HPP_VERSION_NUMBER / 1000 || \
    IMGROUP_VERSION_NUMBER < IMGROUP_HPP_VERSION_NUMBER
#error "imgroup.h and imgroup.hpp are of different versions: install both anew"
#endif

/** Defined where the throwing face is there. */
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define IMGROUP_HPP_EXCEPTIONS 1
#include <stdexcept>
#endif

// Visible also where -fvisibility=hidden is set, so that an exception thrown in one
// library is caught in another.
namespace imgroup IMGROUP_API {

/** What kind of failure it is. Choose by it what to do: see imgroup_error_class. */
enum class error_class : std::int32_t {
  none = 0,
  argument = IMGROUP_CLASS_ARGUMENT,
  network = IMGROUP_CLASS_NETWORK,
  deadline = IMGROUP_CLASS_DEADLINE,
  cancelled = IMGROUP_CLASS_CANCELLED,
  throttled = IMGROUP_CLASS_THROTTLED,
  auth = IMGROUP_CLASS_AUTH,
  not_found = IMGROUP_CLASS_NOT_FOUND,
  server = IMGROUP_CLASS_SERVER,
  internal = IMGROUP_CLASS_INTERNAL,
};

/** What became of a failed request: see imgroup_error_outcome. */
enum class outcome : std::int32_t {
  /** Nothing was sent that could have been applied. */
  not_sent = IMGROUP_OUTCOME_NOT_SENT,
  /** The service answered and refused; nothing was applied. */
  rejected = IMGROUP_OUTCOME_REJECTED,
  /** It may have been applied, or not. */
  unknown = IMGROUP_OUTCOME_UNKNOWN,
};

/** How important a log line is. */
enum class log_level : std::int32_t {
  error = IMGROUP_LOG_ERROR,
  warning = IMGROUP_LOG_WARNING,
  info = IMGROUP_LOG_INFO,
  debug = IMGROUP_LOG_DEBUG,
};

/** What may be done with a command of client::request. */
enum class request_kind : std::uint32_t {
  /** Sent again only when it certainly was not applied. */
  once = 0,
  /** Does no harm when applied twice: sent again also when the outcome is open. */
  idempotent = IMGROUP_REQUEST_IDEMPOTENT,
};

/** What a job does with each account. */
enum class job_command : std::int32_t {
  /** Deletes the lists that the rows name. */
  delete_lists = IMGROUP_JOB_DELETE,
  /** Reads the lists of the accounts that the rows name. */
  export_lists = IMGROUP_JOB_EXPORT,
};

/** The name of a class: "network", "not_found", … */
[[nodiscard]] inline std::string_view name_of(error_class value) noexcept {
  return imgroup_class_name(static_cast<std::int32_t>(value));
}

/** The name of an outcome: "NOT_SENT", "REJECTED" or "UNKNOWN". */
[[nodiscard]] inline std::string_view name_of(outcome value) noexcept {
  return imgroup_outcome_name(static_cast<std::int32_t>(value));
}

/** The symbolic name of a code, local or the service's; "UNKNOWN" for others. */
[[nodiscard]] inline std::string_view code_name(std::int32_t code) noexcept {
  return imgroup_code_name(code);
}

/** The version of the loaded library, "0.1.0". */
[[nodiscard]] inline std::string_view version() noexcept { return imgroup_version(); }

/**
 * Why a call failed: a value, without a handle behind it. Neither the secret key
 * nor a UserSig ever stands in one.
 */
class failure {
 public:
  /** A failure raised here, before anything was sent. */
  failure(std::int32_t code, std::string message) : message_(std::move(message)), code_(code) {}

  /** Takes over what a C function put into its last parameter. */
  static failure take(std::int32_t code, imgroup_error *handle) {
    const std::unique_ptr<imgroup_error, void (*)(imgroup_error *)> owner(handle, imgroup_error_free);
    failure taken(code, imgroup_error_message(handle));
    taken.display_ = imgroup_error_display(handle);
    taken.host_ = imgroup_error_host(handle);
    taken.kind_ = static_cast<error_class>(handle ? imgroup_error_class(handle) : imgroup_code_class(code));
    taken.outcome_ = static_cast<imgroup::outcome>(imgroup_error_outcome(handle));
    taken.http_status_ = imgroup_error_http_status(handle);
    taken.attempts_ = imgroup_error_attempts(handle);
    taken.random_ = imgroup_error_random(handle);
    taken.is_retryable_ = imgroup_error_is_retryable(handle) != 0;
    return taken;
  }

  /** Negative: one of enum imgroup_code. Positive: the service's ErrorCode. */
  [[nodiscard]] std::int32_t code() const noexcept { return code_; }
  /** The symbolic name of the code; lives for ever. */
  [[nodiscard]] std::string_view name() const noexcept { return imgroup_code_name(code_); }
  /** What went wrong, for a developer or a log, in one line. */
  [[nodiscard]] const std::string &message() const noexcept { return message_; }
  /** The service's text meant for end users; mostly empty. */
  [[nodiscard]] const std::string &display() const noexcept { return display_; }
  /** What kind of failure it is. */
  [[nodiscard]] error_class kind() const noexcept { return kind_; }
  /** What became of the request: the worst over all attempts. */
  [[nodiscard]] imgroup::outcome outcome() const noexcept { return outcome_; }
  /**
   * Whether the same call may succeed later, unchanged. Whether repeating is
   * harmless is what the outcome says.
   */
  [[nodiscard]] bool is_retryable() const noexcept { return is_retryable_; }
  /** The HTTP status of the last reply; 0 if there was none. */
  [[nodiscard]] std::int32_t http_status() const noexcept { return http_status_; }
  /** How many requests were sent or tried to be sent. */
  [[nodiscard]] std::uint32_t attempts() const noexcept { return attempts_; }
  /** The host of the last attempt; empty if there was none. */
  [[nodiscard]] const std::string &host() const noexcept { return host_; }
  /** By this number the vendor's support finds the last request; 0 if none. */
  [[nodiscard]] std::uint32_t random() const noexcept { return random_; }

 private:
  std::string message_, display_, host_;
  std::int32_t code_;
  error_class kind_ = static_cast<error_class>(imgroup_code_class(code_));
  imgroup::outcome outcome_ = imgroup::outcome::not_sent;
  std::int32_t http_status_ = 0;
  std::uint32_t attempts_ = 0, random_ = 0;
  bool is_retryable_ = false;
};

#ifdef IMGROUP_HPP_EXCEPTIONS

/**
 * What the throwing face throws: one of the classes below, by failure::kind.
 * what() is the name of the code, the code, and the message.
 */
class error : public std::runtime_error {
 public:
  explicit error(imgroup::failure why)
      : std::runtime_error(std::string(why.name()) + " (" + std::to_string(why.code()) + "): " + why.message()),
        failure_(std::make_shared<const imgroup::failure>(std::move(why))) {}

  /** All of it as a value. */
  [[nodiscard]] const imgroup::failure &failure() const noexcept { return *failure_; }

  [[nodiscard]] std::int32_t code() const noexcept { return failure_->code(); }
  [[nodiscard]] std::string_view name() const noexcept { return failure_->name(); }
  [[nodiscard]] const std::string &message() const noexcept { return failure_->message(); }
  [[nodiscard]] const std::string &display() const noexcept { return failure_->display(); }
  [[nodiscard]] error_class kind() const noexcept { return failure_->kind(); }
  [[nodiscard]] imgroup::outcome outcome() const noexcept { return failure_->outcome(); }
  [[nodiscard]] bool is_retryable() const noexcept { return failure_->is_retryable(); }
  [[nodiscard]] std::int32_t http_status() const noexcept { return failure_->http_status(); }
  [[nodiscard]] std::uint32_t attempts() const noexcept { return failure_->attempts(); }
  [[nodiscard]] const std::string &host() const noexcept { return failure_->host(); }
  [[nodiscard]] std::uint32_t random() const noexcept { return failure_->random(); }

 private:
  // Shared, so that copying an exception cannot throw.
  std::shared_ptr<const imgroup::failure> failure_;
};

/** An argument or a setting breaks a rule, or the service refused a value. */
class invalid_argument : public error { using error::error; };
/** The service could not be reached, or the reply was lost. */
class network_error : public error { using error::error; };
/** The deadline passed. */
class deadline_exceeded : public error { using error::error; };
/** The caller cancelled, or shut the client down. */
class cancelled : public error { using error::error; };
/** Too many requests for the quota of the app. */
class throttled : public error { using error::error; };
/** Credentials, permissions or the state of the app. */
class auth_error : public error { using error::error; };
/** The account, friend or list does not exist. */
class not_found : public error { using error::error; };
/** The service failed, or its reply makes no sense. */
class server_error : public error { using error::error; };
/** The library or the process ran out of something. */
class internal_error : public error { using error::error; };

/** Throws the class that fits. */
[[noreturn]] inline void raise(failure why) {
  switch (why.kind()) {
    case error_class::argument: throw invalid_argument(std::move(why));
    case error_class::network: throw network_error(std::move(why));
    case error_class::deadline: throw deadline_exceeded(std::move(why));
    case error_class::cancelled: throw cancelled(std::move(why));
    case error_class::throttled: throw throttled(std::move(why));
    case error_class::auth: throw auth_error(std::move(why));
    case error_class::not_found: throw not_found(std::move(why));
    case error_class::server: throw server_error(std::move(why));
    case error_class::internal: throw internal_error(std::move(why));
    case error_class::none: break;
  }
  // A class that a later library knows and this header does not.
  throw error(std::move(why));
}

#endif

/**
 * What the non-throwing face returns: a T, or the failure that there is instead.
 *
 *   if (auto reply = client.try_get_lists("alice")) use(*reply);
 *   else log(reply.error().message());
 *
 * Asking for the one that is not there, with * -> or error(), ends the program.
 */
template <typename T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  using error_type = failure;

  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}          // NOLINT: on purpose
  result(failure why) : state_(std::in_place_index<1>, std::move(why)) {}        // NOLINT: on purpose

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T &operator*() & noexcept { return *get(std::get_if<0>(&state_)); }
  [[nodiscard]] const T &operator*() const & noexcept { return *get(std::get_if<0>(&state_)); }
  [[nodiscard]] T &&operator*() && noexcept { return std::move(*get(std::get_if<0>(&state_))); }
  [[nodiscard]] T *operator->() noexcept { return get(std::get_if<0>(&state_)); }
  [[nodiscard]] const T *operator->() const noexcept { return get(std::get_if<0>(&state_)); }

  /** Why there is no value. */
  [[nodiscard]] const failure &error() const & noexcept { return *get(std::get_if<1>(&state_)); }
  [[nodiscard]] failure &&error() && noexcept { return std::move(*get(std::get_if<1>(&state_))); }
  /** The code, 0 (IMGROUP_OK) where there is a value. */
  [[nodiscard]] std::int32_t code() const noexcept { return has_value() ? IMGROUP_OK : error().code(); }

  [[nodiscard]] T value_or(T otherwise) && { return has_value() ? std::move(**this) : std::move(otherwise); }

#ifdef IMGROUP_HPP_EXCEPTIONS
  /** The value, or the failure as an exception. */
  [[nodiscard]] T &value() & {
    if (!has_value()) raise(error());
    return **this;
  }
  [[nodiscard]] T &&value() && {
    if (!has_value()) raise(std::move(*this).error());
    return *std::move(*this);
  }
#endif

 private:
  template <typename Pointer>
  static Pointer get(Pointer pointer) noexcept {
    if (!pointer) std::abort();
    return pointer;
  }

  std::variant<T, failure> state_;
};

/** The same of what gives nothing but the end of it. */
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  using error_type = failure;

  result() = default;
  result(failure why) : why_(std::move(why)) {}                           // NOLINT: on purpose
  result(std::optional<failure> why) : why_(std::move(why)) {}            // NOLINT: on purpose

  [[nodiscard]] bool has_value() const noexcept { return !why_; }
  explicit operator bool() const noexcept { return has_value(); }
  /** Why it failed. */
  [[nodiscard]] const failure &error() const noexcept {
    if (!why_) std::abort();
    return *why_;
  }
  /** The code, 0 (IMGROUP_OK) if it did not fail. */
  [[nodiscard]] std::int32_t code() const noexcept { return why_ ? why_->code() : IMGROUP_OK; }

#ifdef IMGROUP_HPP_EXCEPTIONS
  /** Nothing, or the failure as an exception. */
  void value() const {
    if (why_) raise(*why_);
  }
#endif

 private:
  std::optional<failure> why_;
};

namespace detail {

template <auto Free>
struct deleter {
  template <typename Handle>
  void operator()(Handle *handle) const noexcept {
    Free(handle);
  }
};

template <typename Handle, auto Free>
using owner = std::unique_ptr<Handle, deleter<Free>>;

/** The rule that only C++ has: here a NUL would cut the text off unseen. */
inline failure holds_nul(std::string_view parameter) {
  return failure(IMGROUP_E_INVALID_ARGUMENT, std::string(parameter) + ": must not hold a NUL byte");
}

/** A text that C can read. */
class text {
 public:
  explicit text(std::string_view value) : value_(value) {}
  [[nodiscard]] const char *get() const noexcept { return value_.c_str(); }
  [[nodiscard]] bool holds_nul() const noexcept { return value_.find('\0') != std::string::npos; }

 private:
  std::string value_;
};

/** Runs a C function whose last parameter is given here. */
template <typename Call>
std::optional<failure> attempt(Call &&call) {
  imgroup_error *error = nullptr;
  const std::int32_t code = call(&error);
  if (code == IMGROUP_OK) return std::nullopt;
  return failure::take(code, error);
}

/** Whole units, rounded up; none for what is not positive; at most what fits. */
template <typename Unit, typename Rep, typename Period>
std::optional<std::uint32_t> units(std::chrono::duration<Rep, Period> duration) noexcept {
  if (!(duration > std::chrono::duration<Rep, Period>::zero())) return std::nullopt;
  const std::chrono::duration<long double, typename Unit::period> exact(duration);
  // The C functions refuse what is this long, and say what they take.
  if (exact.count() >= static_cast<long double>(UINT32_MAX)) return UINT32_MAX;
  const auto whole = static_cast<std::uint32_t>(exact.count());
  return static_cast<long double>(whole) < exact.count() ? whole + 1 : whole;
}

inline failure not_positive(std::string_view parameter) {
  return failure(IMGROUP_E_INVALID_ARGUMENT, std::string(parameter) + ": must be a positive duration");
}

template <typename T, typename = void>
struct is_text_range : std::false_type {};
template <typename T>
struct is_text_range<T, std::void_t<decltype(std::string_view(*std::begin(std::declval<const T &>()))),
                                    decltype(std::end(std::declval<const T &>()))>> : std::true_type {};

}  // namespace detail

/**
 * Some texts, as an argument: made from {"Family", "Work"}, or from any range of
 * what a std::string_view can be made of. It copies them.
 */
class texts {
 public:
  texts() = default;
  texts(std::initializer_list<std::string_view> values) { copy(values); }
  template <typename Range, typename = std::enable_if_t<detail::is_text_range<Range>::value &&
                                                        !std::is_convertible_v<const Range &, std::string_view> &&
                                                        !std::is_base_of_v<texts, Range>>>
  texts(const Range &values) {  // NOLINT: on purpose
    copy(values);
  }

  [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }
  /** Which of them holds a NUL byte; size() if none does. */
  [[nodiscard]] std::size_t find_nul() const noexcept {
    std::size_t index = 0;
    while (index < values_.size() && values_[index].find('\0') == std::string::npos) ++index;
    return index;
  }
  /** As C takes them. */
  [[nodiscard]] std::vector<const char *> pointers() const {
    std::vector<const char *> pointers;
    pointers.reserve(values_.size());
    for (const std::string &value : values_) pointers.push_back(value.c_str());
    return pointers;
  }

 private:
  template <typename Range>
  void copy(const Range &values) {
    for (const auto &value : values) values_.emplace_back(std::string_view(value));
  }

  std::vector<std::string> values_;
};

namespace detail {

/** What is wrong with the texts of a call, before C sees them. */
inline std::optional<failure> check(const text &value, std::string_view parameter) {
  if (value.holds_nul()) return holds_nul(parameter);
  return std::nullopt;
}
inline std::optional<failure> check(const texts &values, std::string_view parameter) {
  const std::size_t index = values.find_nul();
  if (index == values.size()) return std::nullopt;
  return holds_nul(std::string(parameter) + '[' + std::to_string(index) + ']');
}

}  // namespace detail

/** A list, as get_lists reads it. */
struct friend_list {
  std::string name;
  /** How many friends are in it, whether they were asked for or not. */
  std::uint64_t friend_count = 0;
  /** Their accounts; empty if they were not asked for. */
  std::vector<std::string> members;
};

/** What became of one friend in add_lists. The lists were created all the same. */
struct friend_result {
  std::string account;
  /** 0, or the service's code for this friend alone. */
  std::int32_t code = 0;
  /** The service's text; may say "OK" or nothing on success. */
  std::string info;
};

/** What a call gave. For one thread at a time. */
class response {
 public:
  explicit response(imgroup_response *handle) noexcept : handle_(handle) {}

  /** The sequence of the account's lists after the call, if the reply held one. */
  [[nodiscard]] std::optional<std::uint64_t> sequence() const noexcept {
    if (!imgroup_response_has_sequence(handle_.get())) return std::nullopt;
    return imgroup_response_sequence(handle_.get());
  }
  /** How many requests the call took. */
  [[nodiscard]] std::uint32_t attempts() const noexcept { return imgroup_response_attempts(handle_.get()); }
  /** Whether an attempt before the last one may have been applied already. */
  [[nodiscard]] bool was_ambiguous() const noexcept { return imgroup_response_was_ambiguous(handle_.get()) != 0; }

  /** The body of the last reply, a JSON object, borrowed from the response. */
  [[nodiscard]] std::string_view body() const & noexcept {
    std::size_t length = 0;
    const char *start = imgroup_response_body(handle_.get(), &length);
    return start ? std::string_view(start, length) : std::string_view();
  }
  /** The same as a copy, where the response is about to go. */
  [[nodiscard]] std::string body() && { return std::string(static_cast<const response &>(*this).body()); }

  /** After get_lists: the lists, in the order of the service. */
  [[nodiscard]] std::vector<friend_list> lists() const {
    std::vector<friend_list> lists(imgroup_response_list_count(handle_.get()));
    for (std::size_t index = 0; index < lists.size(); ++index) {
      friend_list &list = lists[index];
      list.name = imgroup_response_list_name(handle_.get(), index);
      list.friend_count = imgroup_response_list_friend_count(handle_.get(), index);
      const std::size_t members = imgroup_response_member_count(handle_.get(), index);
      list.members.reserve(members);
      for (std::size_t member = 0; member < members; ++member)
        list.members.emplace_back(imgroup_response_member(handle_.get(), index, member));
    }
    return lists;
  }

  /** After add_lists with friends: what became of each. */
  [[nodiscard]] std::vector<friend_result> results() const {
    std::vector<friend_result> results(imgroup_response_result_count(handle_.get()));
    for (std::size_t index = 0; index < results.size(); ++index) {
      results[index].account = imgroup_response_result_account(handle_.get(), index);
      results[index].code = imgroup_response_result_code(handle_.get(), index);
      results[index].info = imgroup_response_result_info(handle_.get(), index);
    }
    return results;
  }

  /** The C handle, borrowed. */
  [[nodiscard]] const imgroup_response *native_handle() const noexcept { return handle_.get(); }

 private:
  detail::owner<imgroup_response, imgroup_response_free> handle_;
};

/**
 * What one call asks for beyond its arguments: its own deadline, and the means to
 * cancel it. May be used for any number of calls, one after the other.
 */
class call {
 public:
  call() {
    imgroup_call *handle = nullptr;
    problem_ = detail::attempt([&](imgroup_error **error) { return imgroup_call_new(&handle, error); });
    handle_.reset(handle);
  }

  /** How long the call may take, all attempts and pauses included: up to 10 min. */
  template <typename Rep, typename Period>
  call &timeout(std::chrono::duration<Rep, Period> duration) {
    const auto ms = detail::units<std::chrono::milliseconds>(duration);
    return note(ms ? detail::attempt([&](imgroup_error **error) {
                       return imgroup_call_set_timeout_ms(handle_.get(), *ms, error);
                     })
                   : detail::not_positive("timeout_ms"));
  }

  /**
   * Whether delete_lists succeeds when a list does not exist. Costs up to two
   * requests more: see imgroup_call_set_ignore_missing.
   */
  call &ignore_missing(bool ignore = true) {
    return note(detail::attempt([&](imgroup_error **error) {
      return imgroup_call_set_ignore_missing(handle_.get(), ignore ? 1 : 0, error);
    }));
  }

  /**
   * Ends the call that uses this, within 50 ms wherever it waits, with
   * IMGROUP_E_CANCELLED. Sticky until reset. Any thread may call it, also beside
   * the one whose call is under way, but not during or after the destructor.
   */
  void cancel() noexcept { imgroup_call_cancel(handle_.get()); }
  /** Allows calls again after cancel. Not while a call uses it. */
  void reset() noexcept { imgroup_call_reset(handle_.get()); }

  /** The setting that was refused, if one was: every call with it fails so. */
  [[nodiscard]] const std::optional<failure> &problem() const noexcept { return problem_; }
  /** The C handle, borrowed. */
  [[nodiscard]] imgroup_call *native_handle() const noexcept { return handle_.get(); }

 private:
  call &note(std::optional<failure> why) {
    if (!problem_) problem_ = std::move(why);
    return *this;
  }

  detail::owner<imgroup_call, imgroup_call_free> handle_;
  std::optional<failure> problem_;
};

/**
 * What a client is made from. Its setters give it back, to be chained. It may be
 * used for several clients and destroyed before them.
 */
class config {
 public:
  /** Receives log lines, on the thread of the call. See config::log. */
  using log_function = std::function<void(log_level, std::string_view)>;
  /**
   * Is asked before every request how long to wait; nothing refuses it. The
   * command is the last part of the URL path, as "group_delete".
   */
  using quota_function = std::function<std::optional<std::chrono::milliseconds>(std::string_view)>;

  /**
   * From the credentials of an app: its SDKAppID, an admin account, and the key as
   * printed in the console. A region or an endpoint has to be set too.
   */
  config(std::uint32_t sdkappid, std::string_view identifier, std::string_view secret_key) {
    const detail::text identifier_text(identifier), key_text(secret_key);
    imgroup_config *handle = nullptr;
    problem_ = fits();
    if (!problem_) problem_ = detail::check(identifier_text, "identifier");
    if (!problem_) problem_ = detail::check(key_text, "secret_key");
    if (!problem_)
      problem_ = detail::attempt([&](imgroup_error **error) {
        return imgroup_config_new(sdkappid, identifier_text.get(), key_text.get(), &handle, error);
      });
    handle_.reset(handle);
  }

  /** From the IMGROUP_… variables: see imgroup_config_from_env. */
  [[nodiscard]] static config from_env() {
    config made;
    imgroup_config *handle = nullptr;
    made.problem_ = fits();
    if (!made.problem_)
      made.problem_ =
          detail::attempt([&](imgroup_error **error) { return imgroup_config_from_env(&handle, error); });
    made.handle_.reset(handle);
    return made;
  }

  /** The data centre the app lives in, "sgp": see imgroup_config_set_region. */
  config &region(std::string_view name) & { return set("region", name, imgroup_config_set_region); }
  /** Any other host, "https://host:port", in place of a region's. */
  config &endpoint(std::string_view url) & { return set("endpoint", url, imgroup_config_set_endpoint); }
  /** The host to try when the first one cannot be reached. */
  config &backup_endpoint(std::string_view url) & {
    return set("backup_endpoint", url, imgroup_config_set_backup_endpoint);
  }
  /** Whom to trust: a PEM file, "system", or "" for the built-in roots. */
  config &ca_file(std::string_view path) & { return set("ca_file", path, imgroup_config_set_ca_file); }
  /** An HTTP proxy that knows CONNECT, "http://host:port". */
  config &proxy(std::string_view url) & { return set("proxy", url, imgroup_config_set_proxy); }
  /** Where processes share the pace: see imgroup_config_set_quota_directory. */
  config &quota_directory(std::string_view path) & {
    return set("quota_directory", path, imgroup_config_set_quota_directory);
  }
  /** Shares the pace with other machines: see imgroup_config_set_quota_redis, which a
      library without the feature refuses. */
  config &quota_redis(std::string_view url) & { return set("quota_redis", url, imgroup_config_set_quota_redis); }

  /** How long a call may take, all attempts, pauses and waits included (15 s). */
  template <typename Rep, typename Period>
  config &timeout(std::chrono::duration<Rep, Period> duration) & {
    return set<std::chrono::milliseconds>("timeout_ms", duration, imgroup_config_set_timeout_ms);
  }
  /** How long one attempt may take (5 s). */
  template <typename Rep, typename Period>
  config &attempt_timeout(std::chrono::duration<Rep, Period> duration) & {
    return set<std::chrono::milliseconds>("attempt_timeout_ms", duration, imgroup_config_set_attempt_timeout_ms);
  }
  /** How long resolving the host name may take (2 s). */
  template <typename Rep, typename Period>
  config &resolve_timeout(std::chrono::duration<Rep, Period> duration) & {
    return set<std::chrono::milliseconds>("resolve_timeout_ms", duration, imgroup_config_set_resolve_timeout_ms);
  }
  /** How long a TCP connection may take (3.1 s). */
  template <typename Rep, typename Period>
  config &connect_timeout(std::chrono::duration<Rep, Period> duration) & {
    return set<std::chrono::milliseconds>("connect_timeout_ms", duration, imgroup_config_set_connect_timeout_ms);
  }
  /** The life of the tickets that the client signs for itself (24 h). */
  template <typename Rep, typename Period>
  config &usersig_ttl(std::chrono::duration<Rep, Period> duration) & {
    return set<std::chrono::seconds>("usersig_ttl_s", duration, imgroup_config_set_usersig_ttl_s);
  }

  /** How often a call is tried in all: 1 to 5 (3). */
  config &max_attempts(std::uint32_t attempts) & { return set(attempts, imgroup_config_set_max_attempts); }
  /** The longest reply that is accepted (1 MiB). */
  config &max_reply_bytes(std::uint32_t bytes) & { return set(bytes, imgroup_config_set_max_reply_bytes); }
  /** What the service allows the app: see imgroup_config_set_quota. */
  config &quota(std::uint32_t requests_per_second) & { return set(requests_per_second, imgroup_config_set_quota); }
  /** The part of the quota that this machine may use: 1/n of n machines. */
  config &quota_share(double share) & { return set(share, imgroup_config_set_quota_share); }

  /**
   * Asks a limiter of the caller's own before every request, in place of the
   * built-in pace. It runs on the thread of the call, possibly on several at once,
   * and must not call the same client. If it throws, the request is refused.
   * nullptr takes it away.
   */
  config &quota_callback(quota_function acquire) & {
    auto owned = acquire ? std::make_unique<quota_function>(std::move(acquire)) : nullptr;
    return note(detail::attempt([&](imgroup_error **error) {
      const imgroup_quota_callback asked = owned ? ask : nullptr;
      const imgroup_drop_callback drop = owned ? dropped<quota_function> : nullptr;
      return imgroup_config_set_quota_callback(handle_.get(), asked, owned.release(), drop, error);
    }));
  }

  /**
   * Where log lines of this level and more important ones go. It runs on the
   * thread of the call, possibly on several at once, and must not call the same
   * client. What it throws is swallowed. nullptr takes it away.
   */
  config &log(log_level level, log_function receive) & {
    auto owned = receive ? std::make_unique<log_function>(std::move(receive)) : nullptr;
    return note(detail::attempt([&](imgroup_error **error) {
      const imgroup_log_callback told = owned ? tell : nullptr;
      const imgroup_drop_callback drop = owned ? dropped<log_function> : nullptr;
      return imgroup_config_set_log_callback(handle_.get(), static_cast<std::int32_t>(level), told, owned.release(),
                                             drop, error);
    }));
  }

  // The same on a temporary, so that config(…).region("sgp") can be passed on.
  config &&region(std::string_view name) && { return std::move(region(name)); }
  config &&endpoint(std::string_view url) && { return std::move(endpoint(url)); }
  config &&backup_endpoint(std::string_view url) && { return std::move(backup_endpoint(url)); }
  config &&ca_file(std::string_view path) && { return std::move(ca_file(path)); }
  config &&proxy(std::string_view url) && { return std::move(proxy(url)); }
  config &&quota_directory(std::string_view path) && { return std::move(quota_directory(path)); }
  config &&quota_redis(std::string_view url) && { return std::move(quota_redis(url)); }
  template <typename Duration>
  config &&timeout(Duration duration) && { return std::move(timeout(duration)); }
  template <typename Duration>
  config &&attempt_timeout(Duration duration) && { return std::move(attempt_timeout(duration)); }
  template <typename Duration>
  config &&resolve_timeout(Duration duration) && { return std::move(resolve_timeout(duration)); }
  template <typename Duration>
  config &&connect_timeout(Duration duration) && { return std::move(connect_timeout(duration)); }
  template <typename Duration>
  config &&usersig_ttl(Duration duration) && { return std::move(usersig_ttl(duration)); }
  config &&max_attempts(std::uint32_t attempts) && { return std::move(max_attempts(attempts)); }
  config &&max_reply_bytes(std::uint32_t bytes) && { return std::move(max_reply_bytes(bytes)); }
  config &&quota(std::uint32_t requests_per_second) && { return std::move(quota(requests_per_second)); }
  config &&quota_share(double share) && { return std::move(quota_share(share)); }
  config &&quota_callback(quota_function acquire) && { return std::move(quota_callback(std::move(acquire))); }
  config &&log(log_level level, log_function receive) && { return std::move(log(level, std::move(receive))); }

  /** What was refused first, if anything was: making a client fails so. */
  [[nodiscard]] const std::optional<failure> &problem() const noexcept { return problem_; }
  /** The C handle, borrowed. */
  [[nodiscard]] imgroup_config *native_handle() const noexcept { return handle_.get(); }

 private:
  config() = default;

  /** The rule of every wrapper: the same MAJOR.MINOR, and no older PATCH. */
  static std::optional<failure> fits() {
    const std::uint32_t loaded = imgroup_version_number();
    if (loaded / 1000 == IMGROUP_VERSION_NUMBER / 1000 && loaded >= IMGROUP_VERSION_NUMBER) return std::nullopt;
    return failure(IMGROUP_E_CONFIG, "the loaded library is version " + std::string(version()) +
                                         ", which does not fit the header this program was compiled with");
  }

  config &note(std::optional<failure> why) {
    if (!problem_) problem_ = std::move(why);
    return *this;
  }

  config &set(std::string_view setting, std::string_view value,
              std::int32_t (*setter)(imgroup_config *, const char *, imgroup_error **)) {
    const detail::text copy(value);
    if (copy.holds_nul()) return note(detail::holds_nul(setting));
    return note(detail::attempt([&](imgroup_error **error) { return setter(handle_.get(), copy.get(), error); }));
  }
  template <typename Number>
  config &set(Number value, std::int32_t (*setter)(imgroup_config *, Number, imgroup_error **)) {
    return note(detail::attempt([&](imgroup_error **error) { return setter(handle_.get(), value, error); }));
  }
  template <typename Unit, typename Rep, typename Period>
  config &set(std::string_view setting, std::chrono::duration<Rep, Period> duration,
              std::int32_t (*setter)(imgroup_config *, std::uint32_t, imgroup_error **)) {
    const auto whole = detail::units<Unit>(duration);
    return whole ? set(*whole, setter) : note(detail::not_positive(setting));
  }

  // An exception must not cross the library, which is not C++.
  static std::int64_t ask(void *userdata, const char *command) noexcept {
#ifdef IMGROUP_HPP_EXCEPTIONS
    try {
#endif
      const auto wait = (*static_cast<quota_function *>(userdata))(command);
      if (!wait) return -1;
      return wait->count() > 0 ? static_cast<std::int64_t>(wait->count()) : 0;
#ifdef IMGROUP_HPP_EXCEPTIONS
    } catch (...) {
      return -1;
    }
#endif
  }
  static void tell(void *userdata, std::int32_t level, const char *message) noexcept {
#ifdef IMGROUP_HPP_EXCEPTIONS
    try {
#endif
      (*static_cast<log_function *>(userdata))(static_cast<log_level>(level), message);
#ifdef IMGROUP_HPP_EXCEPTIONS
    } catch (...) {
    }
#endif
  }
  template <typename Function>
  static void dropped(void *userdata) noexcept {
    delete static_cast<Function *>(userdata);
  }

  detail::owner<imgroup_config, imgroup_config_free> handle_;
  std::optional<failure> problem_;
};

/**
 * A client of the service. May be used from many threads at once, and in a child
 * after fork(). It keeps connections, the ticket and the order of writes on each
 * account, so make one and keep it. Other threads must have left its calls before
 * it is destroyed: call shutdown and join them.
 *
 * Each call takes an imgroup::call as an optional last argument, for a deadline
 * of its own and to be cancelled.
 */
class client {
 public:
  /** Makes a client; connects nowhere yet. See imgroup_client_new. */
  [[nodiscard]] static result<client> try_make(const config &from) {
    if (from.problem()) return *from.problem();
    imgroup_client *handle = nullptr;
    if (auto why = detail::attempt(
            [&](imgroup_error **error) { return imgroup_client_new(from.native_handle(), &handle, error); }))
      return *std::move(why);
    return client(handle);
  }

  /** Deletes friend lists of an account. See imgroup_delete_lists. */
  [[nodiscard]] result<response> try_delete_lists(std::string_view account, const texts &names) const {
    return remove(account, names, nullptr);
  }
  [[nodiscard]] result<response> try_delete_lists(std::string_view account, const texts &names, const call &with) const {
    return remove(account, names, &with);
  }

  /**
   * Creates friend lists and puts friends into every one of them. A friend that
   * could not be put there does not fail the call: see response::results and
   * imgroup_add_lists.
   */
  [[nodiscard]] result<response> try_add_lists(std::string_view account, const texts &names,
                                               const texts &friends = {}) const {
    return add(account, names, friends, nullptr);
  }
  [[nodiscard]] result<response> try_add_lists(std::string_view account, const texts &names, const texts &friends,
                                               const call &with) const {
    return add(account, names, friends, &with);
  }

  /**
   * Reads friend lists of an account: these, or all of them if no names are given.
   * See response::lists and imgroup_get_lists.
   */
  [[nodiscard]] result<response> try_get_lists(std::string_view account, const texts &names = {},
                                               bool with_members = false) const {
    return get(account, names, with_members, nullptr);
  }
  [[nodiscard]] result<response> try_get_lists(std::string_view account, const texts &names, bool with_members,
                                               const call &with) const {
    return get(account, names, with_members, &with);
  }

  /**
   * Sends any other command, "v4/<service>/<command>", with a JSON object. The
   * reply is response::body. See imgroup_request.
   */
  [[nodiscard]] result<response> try_request(std::string_view command, std::string_view body,
                                             request_kind kind = request_kind::once) const {
    return send(command, body, kind, nullptr);
  }
  [[nodiscard]] result<response> try_request(std::string_view command, std::string_view body, request_kind kind,
                                             const call &with) const {
    return send(command, body, kind, &with);
  }

  /** What this client did so far, a JSON object. See imgroup_client_stats. */
  [[nodiscard]] result<std::string> try_stats() const {
    char *text = nullptr;
    if (auto why = detail::attempt(
            [&](imgroup_error **error) { return imgroup_client_stats(handle_.get(), &text, error); }))
      return *std::move(why);
    const detail::owner<char, imgroup_string_free> owner(text);
    return std::string(text);
  }

#ifdef IMGROUP_HPP_EXCEPTIONS
  explicit client(const config &from) : client(try_make(from).value()) {}
  /** A client from the IMGROUP_… variables. */
  [[nodiscard]] static client from_env() { return client(config::from_env()); }

  response delete_lists(std::string_view account, const texts &names) const {
    return try_delete_lists(account, names).value();
  }
  response delete_lists(std::string_view account, const texts &names, const call &with) const {
    return try_delete_lists(account, names, with).value();
  }
  response add_lists(std::string_view account, const texts &names, const texts &friends = {}) const {
    return try_add_lists(account, names, friends).value();
  }
  response add_lists(std::string_view account, const texts &names, const texts &friends, const call &with) const {
    return try_add_lists(account, names, friends, with).value();
  }
  [[nodiscard]] response get_lists(std::string_view account, const texts &names = {}, bool with_members = false) const {
    return try_get_lists(account, names, with_members).value();
  }
  [[nodiscard]] response get_lists(std::string_view account, const texts &names, bool with_members,
                                   const call &with) const {
    return try_get_lists(account, names, with_members, with).value();
  }
  response request(std::string_view command, std::string_view body, request_kind kind = request_kind::once) const {
    return try_request(command, body, kind).value();
  }
  response request(std::string_view command, std::string_view body, request_kind kind, const call &with) const {
    return try_request(command, body, kind, with).value();
  }
  [[nodiscard]] std::string stats() const { return try_stats().value(); }
#endif

  /** Ends all calls within 50 ms, with IMGROUP_E_SHUTDOWN, and lets no more begin. */
  void shutdown() const noexcept { imgroup_client_shutdown(handle_.get()); }
  /** The C handle, borrowed. */
  [[nodiscard]] imgroup_client *native_handle() const noexcept { return handle_.get(); }

 private:
  explicit client(imgroup_client *handle) noexcept : handle_(handle) {}

  /** The frame of the calls: the caller's control, then the C function. */
  template <typename Function>
  result<response> run(const call *with, Function &&function) const {
    if (with && with->problem()) return *with->problem();
    imgroup_response *reply = nullptr;
    imgroup_call *control = with ? with->native_handle() : nullptr;
    if (auto why = detail::attempt([&](imgroup_error **error) { return function(control, &reply, error); }))
      return *std::move(why);
    return response(reply);
  }

  result<response> remove(std::string_view account, const texts &names, const call *with) const {
    const detail::text owner(account);
    if (auto why = detail::check(owner, "account")) return *std::move(why);
    if (auto why = detail::check(names, "names")) return *std::move(why);
    const auto pointers = names.pointers();
    return run(with, [&](imgroup_call *control, imgroup_response **reply, imgroup_error **error) {
      return imgroup_delete_lists(handle_.get(), owner.get(), pointers.data(), pointers.size(), control, reply, error);
    });
  }

  result<response> add(std::string_view account, const texts &names, const texts &friends, const call *with) const {
    const detail::text owner(account);
    if (auto why = detail::check(owner, "account")) return *std::move(why);
    if (auto why = detail::check(names, "names")) return *std::move(why);
    if (auto why = detail::check(friends, "friends")) return *std::move(why);
    const auto name_pointers = names.pointers(), friend_pointers = friends.pointers();
    return run(with, [&](imgroup_call *control, imgroup_response **reply, imgroup_error **error) {
      return imgroup_add_lists(handle_.get(), owner.get(), name_pointers.data(), name_pointers.size(),
                               friend_pointers.data(), friend_pointers.size(), control, reply, error);
    });
  }

  result<response> get(std::string_view account, const texts &names, bool with_members, const call *with) const {
    const detail::text owner(account);
    if (auto why = detail::check(owner, "account")) return *std::move(why);
    if (auto why = detail::check(names, "names")) return *std::move(why);
    const auto pointers = names.pointers();
    return run(with, [&](imgroup_call *control, imgroup_response **reply, imgroup_error **error) {
      return imgroup_get_lists(handle_.get(), owner.get(), pointers.data(), pointers.size(), with_members ? 1 : 0,
                               control, reply, error);
    });
  }

  result<response> send(std::string_view command, std::string_view body, request_kind kind, const call *with) const {
    const detail::text name(command);
    if (auto why = detail::check(name, "command")) return *std::move(why);
    return run(with, [&](imgroup_call *control, imgroup_response **reply, imgroup_error **error) {
      return imgroup_request(handle_.get(), name.get(), body.data(), body.size(), static_cast<std::uint32_t>(kind),
                             control, reply, error);
    });
  }

  detail::owner<imgroup_client, imgroup_client_free> handle_;
};

/** How far a job is: see enum imgroup_job_counter. */
struct job_progress {
  /** Rows to do; 0 while the input is being read. */
  std::uint64_t rows = 0;
  /** Rows that ended well: deleted, or read by an export. */
  std::uint64_t done = 0;
  /** Rows whose list was gone already, as a read showed. */
  std::uint64_t already_gone = 0;
  /** Rows that were refused. */
  std::uint64_t failed = 0;
  /** Rows that may have been applied, or not. */
  std::uint64_t unknown = 0;
  /** Rows among these four that earlier runs had ended. */
  std::uint64_t resumed = 0;
  /** Requests that this run sent, repeats included. */
  std::uint64_t requests = 0;
  /** Connections in use. */
  std::uint64_t connections = 0;
  /** How long requests of this run waited for the pace, all added. */
  std::chrono::milliseconds waited{0};
  /** Since this run began, or how long it took. */
  std::chrono::milliseconds elapsed{0};

  /** Rows that have ended. */
  [[nodiscard]] std::uint64_t ended() const noexcept { return done + already_gone + failed + unknown; }
};

/**
 * One command for many accounts, with a journal to go on with after a stop or a
 * crash: see imgroup_job.
 *
 *   imgroup::job job(client, imgroup::job_command::delete_lists, "lists.journal");
 *   const imgroup::job_progress end = job.input_file("lists.csv").run();
 *
 * For one thread at a time, but for pause, cancel and progress.
 */
class job {
 public:
  /** Is told how the job goes on, on the thread that is inside run. */
  using progress_function = std::function<void(const job_progress &)>;

  /** A new job, or to go on with the one the journal holds. Opens nothing yet. */
  job(const client &sender, job_command command, std::string_view journal) {
    const detail::text path(journal);
    imgroup_job *handle = nullptr;
    problem_ = detail::check(path, "journal");
    if (!problem_)
      problem_ = detail::attempt([&](imgroup_error **error) {
        return imgroup_job_new(sender.native_handle(), static_cast<std::int32_t>(command), path.get(), &handle, error);
      });
    handle_.reset(handle);
  }

  /** Takes only one part of the accounts: `index` from 1 to `count`. */
  job &partition(std::uint32_t index, std::uint32_t count) {
    return note(attempt(imgroup_job_set_partition, index, count));
  }
  /** Stops before more rows than this are deleted, over all runs; 0 for no limit. */
  job &max_deletes(std::uint64_t rows) { return note(attempt(imgroup_job_set_max_deletes, rows)); }
  /** Stops when a larger share of the rows failed: 0 to 1 (0.5), after 1000 rows. */
  job &max_failures(double share) { return note(attempt(imgroup_job_set_max_failures, share)); }
  /** The most connections: 1 to 256; 0 for as many as latency needs, up to 64. */
  job &connections(std::uint32_t most) { return note(attempt(imgroup_job_set_connections, most)); }
  /** Stops when the service could not be reached for so long (60 s). */
  template <typename Rep, typename Period>
  job &give_up(std::chrono::duration<Rep, Period> duration) {
    const auto ms = detail::units<std::chrono::milliseconds>(duration);
    return note(ms ? attempt(imgroup_job_set_give_up_ms, *ms) : detail::not_positive("give_up_ms"));
  }
  /**
   * Takes the rows from a file: "csv", "tsv" or "jsonl"; by the ending of its name,
   * if nothing is said. See imgroup_job_set_input_file.
   */
  job &input_file(std::string_view path, std::string_view format = {}) {
    const detail::text path_text(path), format_text(format);
    if (auto why = detail::check(path_text, "path")) return note(std::move(why));
    if (auto why = detail::check(format_text, "format")) return note(std::move(why));
    return note(attempt(imgroup_job_set_input_file, path_text.get(), or_null(format, format_text)));
  }
  /**
   * Who is told how the job goes on, about ten times a second. It may call pause,
   * cancel and progress, and must not call the same client. What it throws is
   * swallowed. nullptr takes it away.
   */
  job &on_progress(progress_function receive) {
    auto owned = receive ? std::make_unique<progress_function>(std::move(receive)) : nullptr;
    const imgroup_job_callback told = owned ? tell : nullptr;
    const imgroup_drop_callback drop = owned ? dropped : nullptr;
    return note(attempt(imgroup_job_set_progress, told, static_cast<void *>(owned.release()), drop));
  }

  /**
   * Takes one row, which is checked now and sent by run; an export has no list. See
   * imgroup_job_push.
   */
  result<void> try_push(std::string_view account, std::string_view list = {}) {
    if (problem_) return *problem_;
    const detail::text account_text(account), list_text(list);
    if (auto why = detail::check(account_text, "account")) return why;
    if (auto why = detail::check(list_text, "list")) return why;
    return attempt(imgroup_job_push, account_text.get(), or_null(list, list_text));
  }

  /**
   * Runs the job until every row has ended, be it badly, or something stops it;
   * then the same job, or another with its journal, goes on. See imgroup_job_run.
   */
  result<job_progress> try_run() {
    if (problem_) return *problem_;
    if (auto why = attempt(imgroup_job_run)) return *std::move(why);
    return progress();
  }

  /** Lets a run end soon: what is in flight is waited for. From any thread. */
  void pause() noexcept { imgroup_job_pause(handle_.get()); }
  /** Ends a run within 50 ms. From any thread. */
  void cancel() noexcept { imgroup_job_cancel(handle_.get()); }
  /** How far the run is that is under way, or was the last. From any thread. */
  [[nodiscard]] job_progress progress() const noexcept { return counted(handle_.get()); }

  /** Why the last run stopped, as one word: see imgroup_job_stopped_by; or empty. */
  [[nodiscard]] std::string stopped_by() const {
    const char *word = imgroup_job_stopped_by(handle_.get());
    return word ? word : "";
  }

  /** The report of the last run, a JSON object. */
  [[nodiscard]] result<std::string> try_report() const {
    char *text = nullptr;
    if (auto why = attempt(imgroup_job_report, &text)) return *std::move(why);
    const detail::owner<char, imgroup_string_free> owner(text);
    return std::string(text);
  }
  /** Writes the report to a file, and as a page beside it. */
  result<void> try_write_report(std::string_view path) const {
    const detail::text text(path);
    if (auto why = detail::check(text, "path")) return why;
    return attempt(imgroup_job_write_report, text.get());
  }
  /** Writes the rows that failed or are unknown, as input for another job; how many. */
  result<std::uint64_t> try_write_failed(std::string_view path, std::string_view format = {}) const {
    const detail::text path_text(path), format_text(format);
    std::uint64_t rows = 0;
    if (auto why = detail::check(path_text, "path")) return *std::move(why);
    if (auto why = detail::check(format_text, "format")) return *std::move(why);
    if (auto why = attempt(imgroup_job_write_failed, path_text.get(), or_null(format, format_text), &rows))
      return *std::move(why);
    return rows;
  }
  /** Writes the lists that an export found, as CSV; how many. */
  result<std::uint64_t> try_write_lists(std::string_view path) const {
    const detail::text text(path);
    std::uint64_t lists = 0;
    if (auto why = detail::check(text, "path")) return *std::move(why);
    if (auto why = attempt(imgroup_job_write_lists, text.get(), &lists)) return *std::move(why);
    return lists;
  }

#ifdef IMGROUP_HPP_EXCEPTIONS
  void push(std::string_view account, std::string_view list = {}) { try_push(account, list).value(); }
  job_progress run() { return try_run().value(); }
  [[nodiscard]] std::string report() const { return try_report().value(); }
  void write_report(std::string_view path) const { try_write_report(path).value(); }
  std::uint64_t write_failed(std::string_view path, std::string_view format = {}) const {
    return try_write_failed(path, format).value();
  }
  std::uint64_t write_lists(std::string_view path) const { return try_write_lists(path).value(); }
#endif

  /** What was refused first, if anything was: push and run fail so. */
  [[nodiscard]] const std::optional<failure> &problem() const noexcept { return problem_; }
  /** The C handle, borrowed. */
  [[nodiscard]] imgroup_job *native_handle() const noexcept { return handle_.get(); }

 private:
  job &note(std::optional<failure> why) {
    if (!problem_) problem_ = std::move(why);
    return *this;
  }

  template <typename Function, typename... Arguments>
  std::optional<failure> attempt(Function function, Arguments... arguments) const {
    return detail::attempt([&](imgroup_error **error) { return function(handle_.get(), arguments..., error); });
  }

  static const char *or_null(std::string_view given, const detail::text &text) noexcept {
    return given.empty() ? nullptr : text.get();
  }

  static job_progress counted(const imgroup_job *handle) noexcept {
    const auto count = [&](std::int32_t what) { return imgroup_job_count(handle, what); };
    const auto time = [&](std::int32_t what) {
      return std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(count(what)));
    };
    job_progress now;
    now.rows = count(IMGROUP_JOB_ROWS);
    now.done = count(IMGROUP_JOB_DONE);
    now.already_gone = count(IMGROUP_JOB_ALREADY_GONE);
    now.failed = count(IMGROUP_JOB_FAILED);
    now.unknown = count(IMGROUP_JOB_UNKNOWN);
    now.resumed = count(IMGROUP_JOB_RESUMED);
    now.requests = count(IMGROUP_JOB_REQUESTS);
    now.connections = count(IMGROUP_JOB_CONNECTIONS);
    now.waited = time(IMGROUP_JOB_WAITED_MS);
    now.elapsed = time(IMGROUP_JOB_ELAPSED_MS);
    return now;
  }

  // An exception must not cross the library, which is not C++.
  static void tell(void *userdata, const imgroup_job *handle) noexcept {
#ifdef IMGROUP_HPP_EXCEPTIONS
    try {
#endif
      (*static_cast<progress_function *>(userdata))(counted(handle));
#ifdef IMGROUP_HPP_EXCEPTIONS
    } catch (...) {
    }
#endif
  }
  static void dropped(void *userdata) noexcept { delete static_cast<progress_function *>(userdata); }

  detail::owner<imgroup_job, imgroup_job_free> handle_;
  std::optional<failure> problem_;
};

/** What a UserSig may say beyond user and life. */
struct usersig_options {
  /** From when on it is valid; now, if nothing is said. */
  std::optional<std::chrono::system_clock::time_point> issued_at = std::nullopt;
  /** Bytes for the room permissions of TRTC; IM needs none. */
  std::string_view userbuf = {};
};

/**
 * Makes a UserSig, the ticket with which a user of the app logs in. May be called
 * from any thread. See imgroup_usersig.
 */
[[nodiscard]] inline result<std::string> try_usersig(std::uint32_t sdkappid, std::string_view identifier,
                                                     std::string_view secret_key, std::chrono::seconds ttl,
                                                     const usersig_options &options = {}) {
  const detail::text identifier_text(identifier), key_text(secret_key);
  if (auto why = detail::check(identifier_text, "identifier")) return *std::move(why);
  if (auto why = detail::check(key_text, "secret_key")) return *std::move(why);
  const auto seconds = detail::units<std::chrono::seconds>(ttl);
  if (!seconds) return detail::not_positive("ttl_s");
  std::int64_t issued_at = 0;
  if (options.issued_at)
    issued_at = std::chrono::duration_cast<std::chrono::seconds>(options.issued_at->time_since_epoch()).count();
  char *text = nullptr;
  if (auto why = detail::attempt([&](imgroup_error **error) {
        return imgroup_usersig(sdkappid, identifier_text.get(), key_text.get(), *seconds, issued_at,
                               reinterpret_cast<const std::uint8_t *>(options.userbuf.data()),
                               options.userbuf.size(), &text, error);
      }))
    return *std::move(why);
  const detail::owner<char, imgroup_string_free> owner(text);
  return std::string(text);
}

#ifdef IMGROUP_HPP_EXCEPTIONS
[[nodiscard]] inline std::string usersig(std::uint32_t sdkappid, std::string_view identifier,
                                         std::string_view secret_key, std::chrono::seconds ttl,
                                         const usersig_options &options = {}) {
  return try_usersig(sdkappid, identifier, secret_key, ttl, options).value();
}
#endif

}  // namespace imgroup

#endif  // IMGROUP_HPP
