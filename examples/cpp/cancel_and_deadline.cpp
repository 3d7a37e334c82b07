// Gives a call a deadline of its own, and cancels another from a second thread.
// Without exceptions: both ends are expected here.
//
//   c++ -std=c++17 -pthread cancel_and_deadline.cpp $(pkg-config --cflags --libs imgroup)
//   ./a.out alice 300                               (IMGROUP_… set as for all)
//
// Against a service that answers in time, both calls just succeed.

#include <imgroup.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <thread>

static void report(const char *what, const imgroup::result<imgroup::response> &reply) {
  if (reply)
    std::cout << what << ": ok\n";
  else
    std::cout << what << ": " << reply.error().name() << ", " << imgroup::name_of(reply.error().outcome()) << '\n';
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " ACCOUNT MILLISECONDS\n";
    return 1;
  }
  const char *account = argv[1];
  const std::chrono::milliseconds pause(std::atol(argv[2]));

  const auto client = imgroup::client::try_make(imgroup::config::from_env());
  if (!client) {
    std::cerr << client.error().message() << '\n';
    return 1;
  }

  report("with a deadline", client->try_get_lists(account, {}, false, imgroup::call().timeout(pause)));

  // Any thread may cancel, whatever the call is waiting for.
  imgroup::call call;
  std::thread canceller([&] {
    std::this_thread::sleep_for(pause);
    call.cancel();
  });
  report("with a canceller", client->try_get_lists(account, {}, false, call));
  canceller.join();

  // Cancelled is sticky: without this, later calls with it fail at once.
  call.reset();
}
