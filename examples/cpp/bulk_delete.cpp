// Deletes the friend lists that a file names, of as many accounts as there are.
//
//   c++ -std=c++17 bulk_delete.cpp $(pkg-config --cflags --libs imgroup) -o bulk_delete
//   ./bulk_delete lists.csv lists.journal           (IMGROUP_… set as for all)
//
// lists.csv begins with the line "account,list" and names one list a line. Stopped
// by Ctrl-C, a full disk or kill -9, the same command goes on where it was.

#include <imgroup.hpp>

#include <csignal>
#include <iostream>
#include <string>

static volatile std::sig_atomic_t interrupted = 0;

int main(int argc, char **argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " ROWS JOURNAL\n";
    return 1;
  }
  const std::string journal = argv[2];
  std::signal(SIGINT, [](int) { interrupted = 1; });

  try {
    imgroup::job job(imgroup::client::from_env(), imgroup::job_command::delete_lists, journal);
    job.input_file(argv[1]).on_progress([&](const imgroup::job_progress &now) {
      std::cerr << '\r' << now.ended() << " of " << now.rows << " rows";
      if (interrupted) job.pause();  // what is in flight is waited for
    });
    const imgroup::job_progress end = job.run();
    std::cerr << '\n';
    std::cout << end.done << " deleted, " << end.already_gone << " already gone, " << end.failed << " failed, "
              << end.unknown << " unknown\n";

    // They can be the input of another job, with a journal of its own.
    const std::string failed = journal + ".failed.csv";
    if (job.write_failed(failed) == 0) return 0;
    std::cout << "the rows to look at are in " << failed << '\n';
  } catch (const imgroup::error &error) {
    std::cerr << '\n' << error.what() << '\n';
  }
  return 1;
}
