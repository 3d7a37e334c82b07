// imgroup.hpp with exceptions, against an emulator that the environment names. The
// accounts whose calls go wrong are the runner's: see FAULTS in installed/run.py.

#include <imgroup.hpp>

#include "check.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <filesystem>
#include <fstream>
#include <list>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;

// What is promised of the types.
template <typename T>
constexpr bool move_only =
    std::is_nothrow_move_constructible_v<T> && std::is_move_assignable_v<T> && !std::is_copy_constructible_v<T>;
static_assert(move_only<imgroup::client>);
static_assert(move_only<imgroup::response>);
static_assert(move_only<imgroup::call>);
static_assert(move_only<imgroup::config>);
static_assert(move_only<imgroup::job>);
static_assert(std::is_copy_constructible_v<imgroup::failure>);
static_assert(std::is_nothrow_copy_constructible_v<imgroup::error>);
static_assert(std::is_base_of_v<std::runtime_error, imgroup::error>);
static_assert(sizeof(imgroup::client) == sizeof(void *));
static_assert(!std::is_constructible_v<imgroup::texts, std::string>);
static_assert(!std::is_constructible_v<imgroup::texts, const char *>);

// The exception that a call ends with, by its class; none ends the test.
template <typename Exception, typename Call>
static imgroup::failure thrown(Call &&call, int line) {
  try {
    call();
  } catch (const Exception &error) {
    check(true, "", line);
    return error.failure();
  } catch (const std::exception &error) {
    std::printf("%s\n", error.what());
  }
  check(false, "another class", line);
  return imgroup::failure(0, "");
}
#define THROWN(type, ...) thrown<imgroup::type>([&] { (void)(__VA_ARGS__); }, __LINE__)

static imgroup::config fast() { return imgroup::config::from_env().timeout(2s); }

static void calls() {
  const imgroup::client client = imgroup::client::from_env();
  const auto start = client.get_lists("alice").sequence();
  CHECK(start.has_value());

  const imgroup::response added = client.add_lists("alice", {"Family", "Work"}, {"bob", "nobody"});
  CHECK(added.sequence() == *start + 1);
  CHECK(added.attempts() == 1);
  CHECK(!added.was_ambiguous());
  const auto results = added.results();
  CHECK(results.size() == 2);
  for (const auto &result : results) CHECK(!result.account.empty() && result.code != IMGROUP_OK);

  auto lists = client.get_lists("alice", {}, true).lists();
  CHECK(lists.size() == 2);
  CHECK(lists.at(0).name == "Family");
  CHECK(lists.at(0).friend_count == 0 && lists.at(0).members.empty());
  CHECK(client.get_lists("alice", {"Work"}).lists().size() == 1);

  // Every range of texts will do.
  CHECK(client.delete_lists("alice", {"Family"}).sequence().has_value());
  client.add_lists("alice"sv, std::vector<std::string>{"A", "B"});
  client.add_lists("alice"s, std::array<std::string_view, 2>{"C", "D"});
  client.add_lists("alice", std::list<const char *>{"E"});
  const char *const array[] = {"F", "G"};
  client.add_lists("alice", array);
  CHECK(client.get_lists("alice").lists().size() == 8);
  const std::set<std::string> all{"Work", "A", "B", "C", "D", "E", "F", "G"};
  client.delete_lists("alice", all);
  CHECK(client.get_lists("alice").lists().empty());

  // Views need no NUL behind them.
  const std::string_view text = "alice and more";
  client.add_lists(text.substr(0, 5), {text.substr(6, 3)});
  CHECK(client.get_lists("alice").lists().at(0).name == "and");
  client.delete_lists("alice", {"and"});

  const imgroup::response reply =
      client.request("v4/sns/group_get", R"({"From_Account":"alice"})", imgroup::request_kind::idempotent);
  CHECK(reply.body().front() == '{' && reply.body().find("CurrentSequence") != std::string_view::npos);
  // Of a response that goes away, the body is a copy.
  static_assert(std::is_same_v<decltype(client.request("", "").body()), std::string>);
  static_assert(std::is_same_v<decltype(reply.body()), std::string_view>);
  CHECK(client.stats().front() == '{');
}

static void classes() {
  const imgroup::client client(fast());
  const auto refused = THROWN(invalid_argument, client.delete_lists("refused", {"A"}));
  CHECK(refused.code() == 30005 && refused.name() == "ERR_SVR_FRIENDSHIP_SENSITIVE_TEXT");
  CHECK(refused.outcome() == imgroup::outcome::rejected);
  CHECK(refused.http_status() == 200 && refused.attempts() == 1 && refused.random() != 0);
  CHECK(refused.host().find("127.0.0.1") == 0);
  CHECK(!refused.is_retryable());

  const auto lost = THROWN(network_error, client.delete_lists("lost", {"A"}));
  CHECK(lost.code() == IMGROUP_E_IO && lost.outcome() == imgroup::outcome::unknown && lost.attempts() >= 3);
  CHECK(THROWN(not_found, client.get_lists("nobody")).code() == 30003);
  const auto broken = THROWN(server_error, client.add_lists("broken", {"A"}));
  CHECK(broken.display() == "Please try later" && broken.outcome() == imgroup::outcome::unknown);
  CHECK(THROWN(auth_error, client.delete_lists("forbidden", {"A"})).code() == 30004);
  const imgroup::client once(fast().max_attempts(1));
  CHECK(THROWN(throttled, once.delete_lists("throttled", {"A"})).code() == 60007);
  CHECK(THROWN(deadline_exceeded, client.get_lists("slow", {}, false, imgroup::call().timeout(100ms))).code() ==
        IMGROUP_E_DEADLINE);
  CHECK(THROWN(invalid_argument, client.delete_lists("alice", {})).code() == IMGROUP_E_INVALID_ARGUMENT);
  CHECK(THROWN(invalid_argument, client.delete_lists("alice", {"\xff"})).code() == IMGROUP_E_INVALID_UTF8);
  CHECK(THROWN(invalid_argument, client.request("v4/sns", "{}")).outcome() == imgroup::outcome::not_sent);

  const auto wrong = THROWN(
      auth_error, imgroup::client(imgroup::config(1400000000, "administrator", "wrong").endpoint(std::getenv("IMGROUP_ENDPOINT")))
                      .get_lists("alice"));
  CHECK(wrong.message().find("wrong") == std::string::npos);

  // An error is a value: it outlives the client, and crosses threads.
  std::exception_ptr kept;
  try {
    (void)imgroup::client(fast()).get_lists("nobody");
  } catch (...) {
    kept = std::current_exception();
  }
  std::thread([&] {
    try {
      std::rethrow_exception(kept);
    } catch (const std::runtime_error &error) {
      CHECK(std::string(error.what()).find("ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND (30003)") == 0);
    }
  }).join();

  // A class that this header does not know is thrown all the same.
  try {
    imgroup::raise(imgroup::failure(0, "?"));
  } catch (const imgroup::error &error) {
    CHECK(error.code() == 0);
  }
  CHECK(imgroup::name_of(imgroup::error_class::not_found) == "not_found");
  CHECK(imgroup::name_of(imgroup::outcome::unknown) == "UNKNOWN");
  CHECK(imgroup::code_name(60007) != "UNKNOWN");
}

static void texts_with_nul() {
  const imgroup::client client(fast());
  for (const auto &why : {
           THROWN(invalid_argument, client.delete_lists("ali\0ce"sv, {"A"})),
           THROWN(invalid_argument, client.delete_lists("alice", {"A", "B\0"sv})),
           THROWN(invalid_argument, client.add_lists("alice", {"A"}, {"\0"sv})),
           THROWN(invalid_argument, client.request("v4/sns/\0"sv, "{}")),
           THROWN(invalid_argument, imgroup::client(fast().region("s\0gp"sv))),
           THROWN(invalid_argument, imgroup::usersig(1, "a\0b"sv, "key", 1h)),
       }) {
    CHECK(why.code() == IMGROUP_E_INVALID_ARGUMENT);
    CHECK(why.message().find("must not hold a NUL byte") != std::string::npos);
    CHECK(why.outcome() == imgroup::outcome::not_sent);
  }
  CHECK(THROWN(invalid_argument, client.delete_lists("alice", {"A", "B\0"sv})).message().find("names[1]: ") == 0);
}

static void settings() {
  // The first refused setting is what making a client fails with.
  const auto bad = imgroup::config(1, "a", "k").region("mars").timeout(0s);
  CHECK(bad.problem() && bad.problem()->code() == IMGROUP_E_CONFIG);
  CHECK(bad.problem()->message().find("region") == 0);
  CHECK(THROWN(invalid_argument, imgroup::client(bad)).message() == bad.problem()->message());
  CHECK(THROWN(invalid_argument, imgroup::client(imgroup::config(1, "a", "k"))).code() == IMGROUP_E_CONFIG);
  CHECK(THROWN(invalid_argument, imgroup::client(imgroup::config(0, "a", "k"))).code() == IMGROUP_E_INVALID_ARGUMENT);

  // Times are rounded up, must be positive, and may be of any unit.
  CHECK(!fast().timeout(1ns).problem());
  CHECK(!fast().timeout(0.25s).attempt_timeout(1min).connect_timeout(500ms).resolve_timeout(2s).problem());
  CHECK(!fast().usersig_ttl(24h).max_attempts(2).max_reply_bytes(4096).quota(100).quota_share(0.5).problem());
  CHECK(!fast().ca_file("system").proxy("").backup_endpoint("https://localhost").problem());
  CHECK(fast().timeout(0ms).problem()->code() == IMGROUP_E_INVALID_ARGUMENT);
  CHECK(fast().timeout(-1ms).problem()->message().find("timeout_ms: ") == 0);
  CHECK(fast().timeout(std::chrono::hours::max()).problem()->code() == IMGROUP_E_CONFIG);
  CHECK(fast().usersig_ttl(59500ms).problem() == std::nullopt);
  CHECK(fast().usersig_ttl(58500ms).problem().has_value());

  const imgroup::client client(fast());
  CHECK(THROWN(invalid_argument, client.delete_lists("alice", {"A"}, imgroup::call().timeout(0s))).message().find(
            "timeout_ms: ") == 0);
  CHECK(THROWN(invalid_argument, client.delete_lists("alice", {"A"}, imgroup::call().timeout(1h))).code() ==
        IMGROUP_E_INVALID_ARGUMENT);

  // Moved-from objects can still be asked, and say what they are.
  auto source = fast();
  const auto target = std::move(source);
  CHECK(!target.problem() && source.region("sgp").problem()->code() == IMGROUP_E_HANDLE);
  auto first = imgroup::client(fast());
  const auto second = std::move(first);
  CHECK(THROWN(invalid_argument, first.get_lists("alice")).code() == IMGROUP_E_HANDLE);
  CHECK(second.get_lists("alice").attempts() == 1);
  first = imgroup::client(fast());
  CHECK(first.get_lists("alice").attempts() == 1);
}

static void cancelling() {
  const imgroup::client client(fast().timeout(20s));
  imgroup::call call;
  auto start = std::chrono::steady_clock::now();
  std::thread canceller([&] {
    std::this_thread::sleep_for(100ms);
    call.cancel();
  });
  const auto why = THROWN(cancelled, client.get_lists("slow", {}, false, call));
  canceller.join();
  CHECK(why.code() == IMGROUP_E_CANCELLED && std::chrono::steady_clock::now() - start < 2s);
  CHECK(THROWN(cancelled, client.get_lists("alice", {}, false, call)).outcome() == imgroup::outcome::not_sent);
  call.reset();
  CHECK(client.get_lists("alice", {}, false, call).attempts() == 1);

  std::thread closer([&] {
    std::this_thread::sleep_for(100ms);
    client.shutdown();
  });
  CHECK(THROWN(cancelled, client.get_lists("slow")).code() == IMGROUP_E_SHUTDOWN);
  closer.join();
  CHECK(THROWN(cancelled, client.get_lists("alice")).code() == IMGROUP_E_SHUTDOWN);
}

static void callbacks() {
  std::mutex lock;
  std::vector<std::string> lines;
  auto alive = std::make_shared<int>(0);
  {
    const imgroup::client client(fast()
                                     .log(imgroup::log_level::debug,
                                          [&, alive](imgroup::log_level, std::string_view line) {
                                            const std::lock_guard guard(lock);
                                            lines.emplace_back(line);
                                            throw std::runtime_error("not for the library");
                                          })
                                     .quota_callback([&, alive](std::string_view command)
                                                         -> std::optional<std::chrono::milliseconds> {
                                       if (command == "group_delete") return std::nullopt;
                                       if (command == "group_add") throw std::runtime_error("refused");
                                       ++*alive;
                                       return 1ms;
                                     }));
    CHECK(alive.use_count() == 3);
    (void)client.get_lists("alice");
    CHECK(*alive == 1);
    CHECK(THROWN(throttled, client.delete_lists("alice", {"A"})).code() == IMGROUP_E_QUOTA);
    CHECK(THROWN(throttled, client.add_lists("alice", {"A"})).code() == IMGROUP_E_QUOTA);
  }
  CHECK(alive.use_count() == 1);
  CHECK(!lines.empty());
  // Taken away again, and set on a config that refuses: nothing is left behind.
  { fast().log(imgroup::log_level::info, [alive](auto, auto) {}).log(imgroup::log_level::info, nullptr); }
  { imgroup::config(0, "", "").log(imgroup::log_level::info, [alive](auto, auto) {}); }
  CHECK(alive.use_count() == 1);
}

static void threads() {
  const imgroup::client client = imgroup::client::from_env();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread)
    threads.emplace_back([&] {
      for (int call = 0; call < 5; ++call) good += client.get_lists("bob").attempts() == 1;
    });
  for (auto &thread : threads) thread.join();
  CHECK(good == 40);
}

static void results() {
  const imgroup::client client(fast());
  auto reply = client.try_get_lists("alice");
  CHECK(reply && reply.code() == IMGROUP_OK && reply.value().attempts() == 1);
  auto nobody = client.try_get_lists("nobody");
  CHECK(!nobody && nobody.code() == 30003);
  CHECK(THROWN(not_found, nobody.value()).code() == 30003);
  const imgroup::response moved = std::move(reply).value();
  CHECK(moved.attempts() == 1);
}

static void jobs() {
  using imgroup::job_command;
  namespace files = std::filesystem;
  const files::path directory = files::path(std::getenv("IMGROUP_QUOTA_DIR")) / "hpp-jobs";
  files::remove_all(directory);
  files::create_directories(directory);
  const auto path = [&](const char *name) { return (directory / name).string(); };
  std::ofstream(directory / "rows") << "account,list\nalice,J1\nrefused,J1\nbob,J2\nalice,J2\n";

  std::optional<imgroup::client> client(fast());
  for (const char *account : {"alice", "bob"}) client->add_lists(account, {"J1", "J2"});
  imgroup::job job(*client, job_command::delete_lists, path("journal"));
  client.reset();  // the job keeps it
  auto alive = std::make_shared<imgroup::job_progress>();
  const imgroup::job_progress end = job.input_file(path("rows"))
                                        .connections(2)
                                        .max_failures(1)
                                        .give_up(10s)
                                        .partition(1, 1)
                                        .on_progress([alive](const imgroup::job_progress &now) {
                                          *alive = now;
                                          throw std::runtime_error("not for the library");
                                        })
                                        .run();
  CHECK(end.rows == 4 && end.done == 3 && end.failed == 1 && end.ended() == 4 && end.requests >= 3);
  CHECK(alive->rows == 4 && alive->ended() == 4 && alive.use_count() == 2);
  CHECK(job.progress().done == 3 && job.stopped_by().empty());
  job.on_progress(nullptr);
  CHECK(alive.use_count() == 1);
  CHECK(job.report().find("\"failed\":1") != std::string::npos);
  job.write_report(path("report.json"));
  CHECK(files::exists(directory / "report.json") && files::exists(directory / "report.html"));
  CHECK(job.write_failed(path("failed.csv")) == 1 && job.write_failed(path("failed"), "tsv") == 1);
  CHECK(THROWN(invalid_argument, job.write_failed(path("failed"), "xml")).message().find("format: ") == 0);

  // Stopped at a limit, gone on with by another, which may be moved.
  const imgroup::client again(fast());
  imgroup::job limited(again, job_command::delete_lists, path("journal-2"));
  limited.push("alice", "J1");
  limited.push("bob", "J1");
  CHECK(THROWN(invalid_argument, limited.push("bob", "")).message().find("list: ") == 0);
  const auto stopped = THROWN(cancelled, limited.max_deletes(1).connections(1).run());
  CHECK(stopped.code() == IMGROUP_E_JOB_STOPPED && limited.stopped_by() == "max_deletes");
  imgroup::job source(again, job_command::delete_lists, path("journal-2"));
  imgroup::job rest = std::move(source);
  CHECK(rest.run().resumed == 1 && rest.progress().done == 2);
  CHECK(THROWN(invalid_argument, source.run()).code() == IMGROUP_E_HANDLE && source.progress().rows == 0);
  CHECK(again.get_lists("alice").lists().empty() && again.get_lists("bob").lists().empty());
  CHECK(THROWN(invalid_argument, imgroup::job(again, job_command::export_lists, path("journal-2")).run()).code() ==
        IMGROUP_E_JOB_MISMATCH);

  // Ended from another thread.
  imgroup::job stuck(again, job_command::export_lists, path("journal-3"));
  stuck.push("slow");
  std::thread canceller([&] {
    while (stuck.progress().connections == 0) std::this_thread::sleep_for(10ms);
    std::this_thread::sleep_for(200ms);
    stuck.cancel();
  });
  CHECK(THROWN(cancelled, stuck.run()).code() == IMGROUP_E_CANCELLED);
  canceller.join();
  CHECK(stuck.stopped_by() == "cancel");
  stuck.pause();
  CHECK(THROWN(cancelled, stuck.run()).code() == IMGROUP_E_JOB_STOPPED);

  again.add_lists("bob", {"J3"});
  imgroup::job exported(again, job_command::export_lists, path("journal-4"));
  exported.push("bob");
  CHECK(exported.run().done == 1 && exported.write_lists(path("lists.csv")) == 1);
  again.delete_lists("bob", {"J3"});

  // The first refused setting is what pushing and running fail with.
  imgroup::job bad(again, job_command::delete_lists, path("journal-5"));
  bad.give_up(0s).partition(2, 1).max_failures(2).connections(257);
  for (const auto &why : {THROWN(invalid_argument, bad.push("bob", "A")), THROWN(invalid_argument, bad.run())})
    CHECK(why.message().find("give_up_ms: must be a positive duration") == 0);
  CHECK(imgroup::job(again, job_command::delete_lists, "a\0b"sv).problem()->message().find("journal: ") == 0);
  CHECK(imgroup::job(again, job_command::delete_lists, "a").input_file("a", "xml").problem().has_value());
  CHECK(THROWN(invalid_argument, bad.report()).message() == "job: has not run yet");
  files::remove_all(directory);
}

static void tickets() {
  const std::string ticket = imgroup::usersig(1400000000, "alice", "key", 1h);
  CHECK(ticket.size() > 100);
  imgroup::usersig_options options;
  options.issued_at = std::chrono::system_clock::from_time_t(1600000000);
  options.userbuf = "rooms\0"sv;
  const std::string fixed = imgroup::usersig(1400000000, "alice", "key", 1h, options);
  CHECK(fixed == imgroup::usersig(1400000000, "alice", "key", 3600s, options) && fixed != ticket);
  CHECK(THROWN(invalid_argument, imgroup::usersig(0, "alice", "key", 1h)).code() == IMGROUP_E_INVALID_ARGUMENT);
  CHECK(THROWN(invalid_argument, imgroup::usersig(1, "alice", "key", 0h)).message().find("ttl_s: ") == 0);
  CHECK(imgroup::version() == "" + std::to_string(IMGROUP_VERSION_MAJOR) + '.' + std::to_string(IMGROUP_VERSION_MINOR) +
                                  '.' + std::to_string(IMGROUP_VERSION_PATCH));
}

int main() {
  try {
    calls();
    classes();
    texts_with_nul();
    settings();
    cancelling();
    callbacks();
    threads();
    results();
    jobs();
    tickets();
  } catch (const std::exception &error) {
    std::printf("unexpected: %s\n", error.what());
    ++failed;
  }
  return report();
}
