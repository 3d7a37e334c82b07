// A test of one's own code, with the emulator in the part of the service.
//
//   c++ -std=c++17 use_emulator.cpp $(pkg-config --cflags --libs imgroup) -o use_emulator
//   ./use_emulator
//
// The command is looked for in $IMGROUP_COMMAND, then in PATH. No credentials and
// no network are needed.

#include <imgroup.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

// An emulator on a free port, for the life of the object.
class emulator {
 public:
  // The emulator's own app: an id and a key that are no secret.
  static constexpr std::uint32_t sdkappid = 1400000000;
  static constexpr const char *identifier = "administrator";
  static constexpr const char *secret_key = "00000000000000000000000000000000000000000000000000000000deadbeef";

  explicit emulator(const char *accounts) {
    const char *command = std::getenv("IMGROUP_COMMAND");
    if (!command || !*command) command = "imgroup";
    int input[2], output[2];
    if (pipe(input) != 0 || pipe(output) != 0) throw std::runtime_error("no pipe");

    pid_ = fork();
    if (pid_ == 0) {
      dup2(input[0], STDIN_FILENO);
      dup2(output[1], STDOUT_FILENO);
      for (const int end : {input[0], input[1], output[0], output[1]}) close(end);
      // What the shell is set up for must not change what is tested.
      for (const char *name : {"IMGROUP_SDKAPPID", "IMGROUP_IDENTIFIER", "IMGROUP_SECRET_KEY"}) unsetenv(name);
      execlp(command, command, "emulator", "--port", "0", "--seed-accounts", accounts, "--exit-on-stdin-eof",
             static_cast<char *>(nullptr));
      std::perror(command);
      _exit(127);
    }
    close(input[0]);
    close(output[1]);
    input_ = input[1];

    // One line of JSON says that it is ready, and where.
    std::string line;
    char letter;
    while (read(output[0], &letter, 1) == 1 && letter != '\n') line += letter;
    close(output[0]);
    const std::string member = "\"url\":\"";
    const auto start = line.find(member);
    if (start == std::string::npos)
      throw std::runtime_error("the emulator does not start: set IMGROUP_COMMAND to the imgroup command");
    const auto from = start + member.size();
    url_ = line.substr(from, line.find('"', from) - from);
  }

  // It ends when its input ends, also if we crash.
  ~emulator() {
    close(input_);
    waitpid(pid_, nullptr, 0);
  }

  emulator(const emulator &) = delete;
  emulator &operator=(const emulator &) = delete;

  const std::string &url() const { return url_; }

 private:
  pid_t pid_;
  int input_;
  std::string url_;
};

// What is to be tested: it would stand in the program itself.
static void forget_colleagues(const imgroup::client &client, std::string_view account) {
  client.delete_lists(account, {"Colleagues"});
}

static void expect(bool holds, const char *what) {
  if (!holds) throw std::runtime_error(what);
}

int main() {
  try {
    const emulator service("alice,bob");
    const imgroup::client client(
        imgroup::config(emulator::sdkappid, emulator::identifier, emulator::secret_key).endpoint(service.url()));

    client.add_lists("alice", {"Colleagues", "Family"});
    forget_colleagues(client, "alice");
    const auto lists = client.get_lists("alice").lists();
    expect(lists.size() == 1 && lists[0].name == "Family", "one list is left");

    try {
      forget_colleagues(client, "nobody");
      expect(false, "an account that is not there is an error");
    } catch (const imgroup::not_found &) {
    }
    std::cout << "the tests passed\n";
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
