// Runs the program under test as a user would and keeps what it printed.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"

namespace aquatint::test {

struct Outcome {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
};

class Process {
 public:
  Process(const std::filesystem::path& scratch, std::vector<std::string> arguments)
      : out_(scratch / "stdout"), err_(scratch / "stderr") {
    arguments.insert(arguments.begin(), AQUATINT_BINARY);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      redirect(out_, STDOUT_FILENO);
      redirect(err_, STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
  }

  void send(int signal) const { kill(pid_, signal); }
  bool running() {
    if (!waited_) waited_ = waitpid(pid_, &status_, WNOHANG) == pid_;
    return !waited_;
  }
  Outcome wait() {
    if (!waited_) waitpid(pid_, &status_, 0);
    waited_ = true;
    const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    return {code, base::read_text(out_), base::read_text(err_)};
  }

 private:
  static void redirect(const std::filesystem::path& file, int to) {
    const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(fd, to);
    close(fd);
  }

  std::filesystem::path out_, err_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool waited_ = false;
};

}  // namespace aquatint::test
