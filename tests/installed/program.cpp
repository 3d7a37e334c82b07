// As program.c, through imgroup.hpp.

#include <imgroup.hpp>

#include <iostream>

int main() {
  try {
    const imgroup::client client = imgroup::client::from_env();
    client.add_lists("alice", {"Family", "Work"});
    client.delete_lists("alice", {"Family"});
    std::cout << imgroup::version() << ' ' << client.get_lists("alice").lists().at(0).name << '\n';
  } catch (const imgroup::error &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
