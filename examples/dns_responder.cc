// SPDX-License-Identifier: Apache-2.0
#include "dns_responder.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <optional>
#include <string_view>
#include <thread>

#include "conntrace/clock.h"
#include "conntrace/unique_fd.h"

namespace conntrace::example {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::uint16_t kTypeA = 1;
constexpr std::uint16_t kTypeAaaa = 28;
constexpr std::size_t kMaxUdp = 512;  // RFC 1035 section 2.3.4
constexpr std::size_t kMaxPending = 4096;

struct Question {
  std::string name;  // lower case
  std::uint16_t type = 0;
  std::size_t end = 0;  // offset behind it
};

std::uint16_t read16(std::string_view message, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(message[at]) << 8 |
                                    static_cast<unsigned char>(message[at + 1]));
}

void append16(std::string& out, unsigned value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

std::optional<Question> parse_question(std::string_view message) {
  const bool is_query = message.size() > kHeader && (message[2] & 0x80) == 0;
  if (!is_query || read16(message, 4) != 1) return std::nullopt;
  Question question;
  std::size_t at = kHeader;
  while (at < message.size() && message[at] != 0) {
    const std::size_t length = static_cast<unsigned char>(message[at]);
    if (length > 63 || at + 1 + length >= message.size()) return std::nullopt;  // no compression in a question
    if (!question.name.empty()) question.name += '.';
    for (const char c : message.substr(at + 1, length)) {
      question.name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
    at += 1 + length;
  }
  if (at + 5 > message.size()) return std::nullopt;
  question.type = read16(message, at + 1);
  question.end = at + 5;
  return question;
}

/// The answer to a query, or nothing if it is not one.
std::string answer(std::string_view query, const DnsOptions& options) {
  const auto question = parse_question(query);
  if (!question) return {};
  std::string records;
  unsigned count = 0;
  const auto found = options.names.find(question->name);
  if (found != options.names.end()) {
    for (const std::string& text : found->second) {
      std::array<char, 16> binary{};
      const bool v6 = text.find(':') != std::string::npos;
      if (::inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), binary.data()) != 1) continue;
      const std::size_t size = v6 ? 16 : 4;
      if (question->type != (v6 ? kTypeAaaa : kTypeA) || question->end + records.size() + 12 + size > kMaxUdp) continue;
      append16(records, 0xc00c);  // the name of the question
      append16(records, question->type);
      append16(records, 1);  // IN
      append16(records, 0);
      append16(records, 60);  // TTL
      append16(records, static_cast<unsigned>(size));
      records.append(binary.data(), size);
      ++count;
    }
  }
  std::string out(query.substr(0, 2));
  const unsigned recursion_desired = static_cast<unsigned char>(query[2]) & 1U;
  append16(out, 0x8480U | recursion_desired << 8 | (found == options.names.end() ? 3U : 0U));  // QR AA RA, NXDOMAIN
  append16(out, 1);
  append16(out, count);
  append16(out, 0);
  append16(out, 0);
  out += query.substr(kHeader, question->end - kHeader);
  return out + records;
}

}  // namespace

class DnsResponder::Impl {
 public:
  Impl(DnsOptions options, UniqueFd socket, UniqueFd stop, std::uint16_t port)
      : options_(std::move(options)), socket_(std::move(socket)), stop_(std::move(stop)), port_(port) {
    thread_ = std::thread([this] { run(); });
  }
  ~Impl() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof(one));
    thread_.join();
  }
  std::uint16_t port() const { return port_; }
  std::uint64_t answered() const { return answered_; }

 private:
  struct Pending {
    MonoTime due{};
    sockaddr_storage to{};
    socklen_t to_length = 0;
    std::string bytes;
  };

  void run() {
    for (;;) {
      int timeout = -1;
      if (!pending_.empty()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(pending_.front().due - mono_now()).count();
        timeout = left > 0 ? static_cast<int>(left) : 0;
      }
      std::array<pollfd, 2> fds{pollfd{stop_.get(), POLLIN, 0}, pollfd{socket_.get(), POLLIN, 0}};
      ::poll(fds.data(), fds.size(), timeout);
      if (fds[0].revents != 0) return;
      if (fds[1].revents != 0) receive();
      for (; !pending_.empty() && pending_.front().due <= mono_now(); pending_.pop_front()) {
        const Pending& next = pending_.front();
        const auto* to = reinterpret_cast<const sockaddr*>(&next.to);
        if (::sendto(socket_.get(), next.bytes.data(), next.bytes.size(), 0, to, next.to_length) >= 0) ++answered_;
      }
    }
  }

  void receive() {
    Pending next;
    std::array<char, 4096> buffer;
    next.to_length = sizeof(next.to);
    const ssize_t got = ::recvfrom(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&next.to), &next.to_length);
    if (got <= 0 || pending_.size() >= kMaxPending) return;
    next.bytes = answer({buffer.data(), static_cast<std::size_t>(got)}, options_);
    next.due = mono_now() + options_.delay;
    if (!next.bytes.empty()) pending_.push_back(std::move(next));
  }

  const DnsOptions options_;
  UniqueFd socket_;
  UniqueFd stop_;
  const std::uint16_t port_;
  std::atomic<std::uint64_t> answered_{0};
  std::deque<Pending> pending_;  ///< in the order of their times: the delay is the same for all
  std::thread thread_;
};

Result<std::unique_ptr<DnsResponder>> DnsResponder::start(DnsOptions options) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  const auto failed = [&] {
    return Failure(system_error(errno, "DNS on " + options.address + " port " + std::to_string(options.port)));
  };
  if (::inet_pton(AF_INET, options.address.c_str(), &address.sin_addr) != 1) {
    return Failure(make_error(Errc::invalid_request, "DNS on " + options.address + ": not an IPv4 address"));
  }
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!socket.valid() || !stop.valid()) return failed();
  socklen_t length = sizeof(address);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) return failed();
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return failed();
  auto impl = std::make_unique<Impl>(std::move(options), std::move(socket), std::move(stop), ntohs(address.sin_port));
  return std::unique_ptr<DnsResponder>(new DnsResponder(std::move(impl)));
}

DnsResponder::DnsResponder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DnsResponder::~DnsResponder() = default;
std::uint16_t DnsResponder::port() const { return impl_->port(); }
std::uint64_t DnsResponder::answered() const { return impl_->answered(); }

}  // namespace conntrace::example
