// Deletes friend lists of an account.
//
//   c++ -std=c++17 delete_lists.cpp $(pkg-config --cflags --libs imgroup) -o delete_lists
//   ./delete_lists alice Family Work
//
// Credentials and host come from IMGROUP_SDKAPPID, IMGROUP_IDENTIFIER,
// IMGROUP_SECRET_KEY and IMGROUP_REGION.

#include <imgroup.hpp>

#include <iostream>
#include <string>
#include <vector>

int main(int argc, char **argv) {
  if (argc < 3) {
    std::cerr << "usage: " << argv[0] << " ACCOUNT LIST...\n";
    return 1;
  }
  const std::vector<std::string> names(argv + 2, argv + argc);

  try {
    const imgroup::client client = imgroup::client::from_env();
    const imgroup::response reply = client.delete_lists(argv[1], names);
    std::cout << "deleted; the lists of " << argv[1] << " are at sequence " << reply.sequence().value_or(0) << '\n';
  } catch (const imgroup::error &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
