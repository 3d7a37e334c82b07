// Creates a friend list with friends in it, and reads all lists of the account.
//
//   c++ -std=c++17 create_and_read.cpp $(pkg-config --cflags --libs imgroup) -o create_and_read
//   ./create_and_read alice Running bob carol      (IMGROUP_… set as for all)

#include <imgroup.hpp>

#include <iostream>
#include <string>
#include <vector>

int main(int argc, char **argv) {
  if (argc < 3) {
    std::cerr << "usage: " << argv[0] << " ACCOUNT LIST [FRIEND...]\n";
    return 1;
  }
  const std::vector<std::string> friends(argv + 3, argv + argc);

  try {
    const imgroup::client client = imgroup::client::from_env();

    // A friend that could not be put into the list does not fail the call.
    for (const imgroup::friend_result &result : client.add_lists(argv[1], {argv[2]}, friends).results())
      std::cout << result.account << ": "
                << (result.code == IMGROUP_OK ? "in the list" : imgroup::code_name(result.code)) << '\n';

    const bool with_members = true;
    for (const imgroup::friend_list &list : client.get_lists(argv[1], {}, with_members).lists()) {
      std::cout << list.name << " (" << list.friend_count << ')';
      for (const std::string &member : list.members) std::cout << ' ' << member;
      std::cout << '\n';
    }
  } catch (const imgroup::error &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
