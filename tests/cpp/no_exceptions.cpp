// imgroup.hpp under -fno-exceptions: the same calls and failures as results.

#include <imgroup.hpp>

#include "check.hpp"

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

#ifdef IMGROUP_HPP_EXCEPTIONS
#error "compile with -fno-exceptions"
#endif

using namespace std::chrono_literals;

int main() {
  auto made = imgroup::client::try_make(imgroup::config::from_env().timeout(2s));
  CHECK(made.has_value());
  if (!made) return report();
  const imgroup::client client = *std::move(made);

  auto added = client.try_add_lists("alice", {"Family", "Work"}, {"bob"});
  CHECK(added && added->sequence().has_value() && added->results().size() == 1);
  auto read = client.try_get_lists("alice", {}, true);
  CHECK(read && read->lists().size() == 2);
  CHECK(client.try_delete_lists("alice", {"Family", "Work"}).has_value());
  CHECK(client.try_request("v4/sns/group_get", "{\"From_Account\":\"alice\"}")->body().size() > 2);
  CHECK(client.try_stats()->front() == '{');
  CHECK(imgroup::try_usersig(1, "alice", "key", 1h)->size() > 100);
  CHECK(std::move(added).value_or(imgroup::response(nullptr)).attempts() == 1);

  struct {
    const char *account;
    imgroup::error_class kind;
    imgroup::outcome outcome;
  } const rows[] = {
      {"refused", imgroup::error_class::argument, imgroup::outcome::rejected},
      {"lost", imgroup::error_class::network, imgroup::outcome::unknown},
      {"broken", imgroup::error_class::server, imgroup::outcome::unknown},
      {"forbidden", imgroup::error_class::auth, imgroup::outcome::rejected},
      {"nobody", imgroup::error_class::not_found, imgroup::outcome::rejected},
      {"throttled", imgroup::error_class::throttled, imgroup::outcome::rejected},
  };
  for (const auto &row : rows) {
    const auto reply = client.try_delete_lists(row.account, {"A"});
    CHECK(!reply);
    if (reply) continue;
    CHECK(reply.error().kind() == row.kind);
    CHECK(reply.error().outcome() == row.outcome);
    CHECK(reply.code() == reply.error().code() && !reply.error().message().empty());
  }
  CHECK(client.try_get_lists("slow", {}, false, imgroup::call().timeout(100ms)).code() == IMGROUP_E_DEADLINE);

  imgroup::call call;
  call.cancel();
  CHECK(client.try_get_lists("alice", {}, false, call).code() == IMGROUP_E_CANCELLED);

  CHECK(imgroup::client::try_make(imgroup::config(1, "a", "k").region("mars")).code() == IMGROUP_E_CONFIG);
  CHECK(imgroup::try_usersig(0, "alice", "key", 1h).code() == IMGROUP_E_INVALID_ARGUMENT);
  CHECK(client.try_delete_lists("alice", {}, imgroup::call().timeout(-1s)).error().message().find("timeout_ms: ") == 0);

  const std::string journal = std::string(std::getenv("IMGROUP_QUOTA_DIR")) + "/no-exceptions.journal";
  for (const char *ending : {"", ".spool", ".results"}) std::remove((journal + ending).c_str());
  imgroup::job job(client, imgroup::job_command::delete_lists, journal);
  CHECK(job.try_push("alice", "Family").has_value() && job.try_push("alice", "").code() == IMGROUP_E_INVALID_ARGUMENT);
  CHECK(job.try_report().code() == IMGROUP_E_INVALID_ARGUMENT);
  const auto end = job.try_run();
  CHECK(end && end->ended() == 1 && end->rows == 1);
  CHECK(job.try_report()->front() == '{');
  CHECK(job.try_write_lists(journal + "/none").code() == IMGROUP_E_RESOURCE);
  CHECK(job.partition(0, 0).try_run().code() == IMGROUP_E_INVALID_ARGUMENT);
  for (const char *ending : {"", ".spool", ".results"}) std::remove((journal + ending).c_str());

  client.shutdown();
  CHECK(client.try_get_lists("alice").code() == IMGROUP_E_SHUTDOWN);
  return report();
}
