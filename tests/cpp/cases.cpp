// Runs one case of tests/cases.json through imgroup.hpp: cases INDEX QUOTA_DIRECTORY.
// The endpoint comes from the environment where the case names none.

#include <imgroup.hpp>

#include "../c/cases.h"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

static imgroup::config configure(const test_case &test, const char *quota_directory) {
  imgroup::config config(test.sdkappid, test.identifier, test.secret_key);
  config.endpoint(test.endpoint ? test.endpoint : std::getenv("IMGROUP_ENDPOINT")).quota_directory(quota_directory);
  if (test.ca_file) config.ca_file(test.ca_file);
  if (test.max_attempts != UNSET) config.max_attempts(static_cast<std::uint32_t>(test.max_attempts));
  if (test.attempt_timeout_ms != UNSET) config.attempt_timeout(std::chrono::milliseconds(test.attempt_timeout_ms));
  if (test.quota_callback != UNSET)
    config.quota_callback([&test](std::string_view) -> std::optional<std::chrono::milliseconds> {
      if (test.quota_callback < 0) return std::nullopt;
      return std::chrono::milliseconds(test.quota_callback);
    });
  return config;
}

static imgroup::response run(const test_case &test, const imgroup::client &client, const imgroup::call &call) {
  const std::string_view function = test.function;
  const std::vector<std::string_view> names(test.names, test.names + test.names_len);
  const std::vector<std::string_view> friends(test.friends, test.friends + test.friends_len);
  if (function == "delete_lists") return client.delete_lists(test.account, names, call);
  if (function == "add_lists") return client.add_lists(test.account, names, friends, call);
  if (function == "get_lists") return client.get_lists(test.account, names, test.with_members != 0, call);
  if (function == "request")
    return client.request(test.command, {test.body, test.body_len},
                          test.idempotent ? imgroup::request_kind::idempotent : imgroup::request_kind::once, call);
  throw std::logic_error("no function " + std::string(function));
}

static std::string ticket(const test_case &test) {
  imgroup::usersig_options options;
  if (test.issued_at) options.issued_at = std::chrono::system_clock::time_point(std::chrono::seconds(test.issued_at));
  if (test.userbuf) options.userbuf = {test.userbuf, test.userbuf_len};
  return imgroup::usersig(test.sdkappid, test.identifier, test.secret_key, std::chrono::seconds(test.ttl_s), options);
}

static void print(const imgroup::response &reply) {
  std::printf("\"attempts\":%u,\"was_ambiguous\":%s", static_cast<unsigned>(reply.attempts()),
              reply.was_ambiguous() ? "true" : "false");
  if (const auto sequence = reply.sequence())
    print_member("sequence", std::to_string(*sequence).c_str());
  else
    std::printf(",\"sequence\":null");
  std::printf(",\"lists\":[");
  const char *between = "";
  for (const imgroup::friend_list &list : reply.lists()) {
    std::printf("%s{\"friend_count\":%s", between, std::to_string(list.friend_count).c_str());
    print_member("name", list.name.c_str());
    std::printf(",\"members\":[");
    between = "";
    for (const std::string &member : list.members) {
      std::printf("%s", between);
      print_text(member.c_str());
      between = ",";
    }
    std::printf("]}");
    between = ",";
  }
  std::printf("],\"results\":[");
  between = "";
  for (const imgroup::friend_result &result : reply.results()) {
    std::printf("%s{\"code\":%d", between, static_cast<int>(result.code));
    print_member("account", result.account.c_str());
    std::printf("}");
    between = ",";
  }
  std::printf("],\"body\":");
  print_text_of(reply.body().data(), reply.body().size());
}

static void print(const imgroup::error &error) {
  std::printf("{\"code\":%d,\"attempts\":%u,\"retryable\":%s,\"http_status\":%d", static_cast<int>(error.code()),
              static_cast<unsigned>(error.attempts()), error.is_retryable() ? "true" : "false",
              static_cast<int>(error.http_status()));
  print_member("name", std::string(error.name()).c_str());
  print_member("class", std::string(imgroup::name_of(error.kind())).c_str());
  print_member("outcome", std::string(imgroup::name_of(error.outcome())).c_str());
  print_member("display", error.display().c_str());
  print_member("message", error.message().c_str());
  std::puts("}");
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const test_case &test = cases[std::atoi(argv[1])];
  std::thread canceller;
  try {
    if (test.function == std::string_view("usersig")) {
      const std::string text = ticket(test);
      std::printf("{\"code\":0");
      print_member("text", text.c_str());
      std::puts("}");
      return 0;
    }
    const imgroup::client client(configure(test, argv[2]));
    imgroup::call call;
    if (test.timeout_ms != UNSET) call.timeout(std::chrono::milliseconds(test.timeout_ms));
    if (test.ignore_missing) call.ignore_missing();
    if (test.shutdown == std::string_view("before")) client.shutdown();
    if (test.cancel == std::string_view("before")) call.cancel();
    if (test.cancel == std::string_view("after_100_ms"))
      canceller = std::thread([&call] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        call.cancel();
      });
    // The thread is gone before what it uses is.
    struct joiner {
      std::thread &thread;
      ~joiner() {
        if (thread.joinable()) thread.join();
      }
    } const join{canceller};
    const imgroup::response reply = run(test, client, call);
    std::printf("{\"code\":0,");
    print(reply);
    std::puts("}");
  } catch (const imgroup::error &error) {
    print(error);
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
  return 0;
}
