// What to do about each class of failure.
//
//   c++ -std=c++17 handle_errors.cpp $(pkg-config --cflags --libs imgroup) -o handle_errors
//   ./handle_errors alice Family                   (IMGROUP_… set as for all)
//
// The exit status is the class, 0 for success.

#include <imgroup.hpp>

#include <iostream>

// The library has repeated already what it may: this is about what is left.
static void call(const char *account, const char *name) {
  try {
    imgroup::client::from_env().delete_lists(account, {name});
  } catch (const imgroup::invalid_argument &) {
    std::cout << "a mistake in the program or its data: mend it, do not repeat\n";
    throw;
  } catch (const imgroup::network_error &) {
    std::cout << "the service was not reached: repeat later\n";
    throw;
  } catch (const imgroup::deadline_exceeded &) {
    std::cout << "no answer in time: allow more, or repeat later\n";
    throw;
  } catch (const imgroup::cancelled &) {
    std::cout << "cancelled by ourselves: nothing to do\n";
    throw;
  } catch (const imgroup::throttled &) {
    std::cout << "over the quota of the app: put it into a queue and slow down\n";
    throw;
  } catch (const imgroup::auth_error &) {
    std::cout << "key, identifier or package of the app: tell an operator\n";
    throw;
  } catch (const imgroup::not_found &) {
    std::cout << "no such account: take it off the books\n";
    throw;
  } catch (const imgroup::server_error &) {
    std::cout << "the service failed: repeat later, and tell its support\n";
    throw;
  } catch (const imgroup::internal_error &) {
    std::cout << "this process is out of something: tell an operator\n";
    throw;
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " ACCOUNT LIST\n";
    return 100;
  }
  try {
    call(argv[1], argv[2]);
    return 0;
  } catch (const imgroup::error &error) {
    // Apart from the class: may it have happened all the same? Deleting twice does
    // no harm; before creating again, read what is there.
    if (error.outcome() == imgroup::outcome::unknown) std::cout << "it may have been applied all the same\n";
    std::cout << "worth repeating unchanged: " << (error.is_retryable() ? "yes" : "no") << '\n';

    // With host and random the vendor's support finds the request.
    std::cout << "code " << error.code() << ' ' << error.name() << ", HTTP " << error.http_status() << ", "
              << error.attempts() << " attempts, host " << error.host() << ", random " << error.random() << '\n'
              << error.message() << '\n';
    return static_cast<int>(error.kind());
  }
}
