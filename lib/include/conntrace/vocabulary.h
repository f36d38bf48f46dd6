/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of event kinds. A row's name is the hook's name, the record's `kind`, the anchor in docs/events.md and
 * the name in tests. It compiles as BPF C (clang 14) and as C++20. Rows are only ever appended.
 *
 *     X(name, payload struct, origin, meaning)
 *
 * origin: HOOK = the library, KERNEL = the agent or a poll of the kernel, STREAM = any source.
 */
#ifndef CONNTRACE_VOCABULARY_H
#define CONNTRACE_VOCABULARY_H

/* clang-format off */
#define CONNTRACE_EVENTS(X) \
  X(stream_start, StreamStartInfo, STREAM, "A source begins; says the schema, the clock pair and whose records follow.") \
  X(stream_end, StreamEndInfo, STREAM, "A source ends in order; says how many records it made and how many it lost.") \
  X(gap, GapInfo, STREAM, "Records were lost here; says how many and why.") \
  X(request_start, RequestStartInfo, HOOK, "A request was handed to the transport.") \
  X(get_conn, GetConnInfo, HOOK, "A connection is about to be looked for (httptrace GetConn).") \
  X(queue_enter, QueueEnterInfo, HOOK, "The request waits because a limit binds.") \
  X(queue_leave, QueueLeaveInfo, HOOK, "The wait behind a limit is over.") \
  X(why_new, WhyNewInfo, HOOK, "A dial begins; says why no open connection served.") \
  X(dns_start, DnsStartInfo, HOOK, "Name resolution begins (httptrace DNSStart).") \
  X(dns_done, DnsDoneInfo, HOOK, "Name resolution ended (httptrace DNSDone).") \
  X(connect_start, ConnectStartInfo, HOOK, "A socket begins to connect to one address (httptrace ConnectStart).") \
  X(connect_done, ConnectDoneInfo, HOOK, "That connect ended, also when it lost the race (httptrace ConnectDone).") \
  X(tls_handshake_start, TlsHandshakeStartInfo, HOOK, "The TLS handshake begins (httptrace TLSHandshakeStart).") \
  X(tls_handshake_done, TlsHandshakeDoneInfo, HOOK, "The TLS handshake ended (httptrace TLSHandshakeDone).") \
  X(dial_done, DialDoneInfo, HOOK, "The dial that why_new announced ended: a usable connection or an error.") \
  X(got_conn, GotConnInfo, HOOK, "The request has its connection (httptrace GotConn).") \
  X(get_conn_failed, GetConnFailedInfo, HOOK, "The request will get no connection.") \
  X(wrote_header_field, WroteHeaderFieldInfo, HOOK, "One request header field was serialized (httptrace WroteHeaderField).") \
  X(wrote_headers, WroteHeadersInfo, HOOK, "The socket accepted the whole request head (httptrace WroteHeaders).") \
  X(wait_100_continue, Wait100ContinueInfo, HOOK, "The body waits for a 100 (httptrace Wait100Continue).") \
  X(wrote_request, WroteRequestInfo, HOOK, "The socket accepted the whole request, or writing failed (httptrace WroteRequest).") \
  X(got_first_response_byte, GotFirstResponseByteInfo, HOOK, "The first byte of any response arrived (httptrace GotFirstResponseByte).") \
  X(got_100_continue, Got100ContinueInfo, HOOK, "A 100 that the body waited for arrived (httptrace Got100Continue).") \
  X(got_1xx_response, Got1xxResponseInfo, HOOK, "An interim response other than 101 arrived (httptrace Got1xxResponse).") \
  X(response_head, ResponseHeadInfo, HOOK, "The final response head is complete.") \
  X(body_done, BodyDoneInfo, HOOK, "The last byte of the response body arrived, or reading it failed.") \
  X(body_closed, BodyClosedInfo, HOOK, "The application is done with the body.") \
  X(put_idle_conn, PutIdleConnInfo, HOOK, "The connection went back: pooled, handed on, or refused (httptrace PutIdleConn).") \
  X(conn_closed, ConnClosedInfo, HOOK, "A connection was closed, idle or not; says why and by whom.") \
  X(retry, RetryInfo, HOOK, "The request is tried again on another connection.") \
  X(redirect, RedirectInfo, HOOK, "The response sends the client elsewhere and it follows.") \
  X(request_done, RequestDoneInfo, HOOK, "The barrier: no hook of this request runs after it.") \
  X(pool_snapshot, PoolSnapshotInfo, HOOK, "The pool's numbers at one moment; they balance.") \
  X(fd_pressure, FdPressureInfo, HOOK, "A descriptor could not be had, or few are left.") \
  X(live_request, LiveRequestInfo, HOOK, "A request that was under way when the reader came.") \
  X(live_connection, LiveConnectionInfo, HOOK, "A connection that was open when the reader came.") \
  X(tcp_connect, TcpConnectInfo, KERNEL, "A TCP socket sent its first SYN (CLOSE to SYN_SENT).") \
  X(tcp_established, TcpEstablishedInfo, KERNEL, "The TCP handshake completed.") \
  X(tcp_state, TcpStateInfo, KERNEL, "A TCP socket changed state after it was established, or gave up connecting.") \
  X(tcp_retransmit, TcpRetransmitInfo, KERNEL, "A segment was sent again.") \
  X(tcp_reset_received, TcpResetReceivedInfo, KERNEL, "A RST arrived.") \
  X(tcp_reset_sent, TcpResetSentInfo, KERNEL, "A RST was sent; says the kernel's reason.") \
  X(tcp_error, TcpErrorInfo, KERNEL, "The kernel reported an error on the socket (sk_err).") \
  X(tcp_send, TcpSendInfo, KERNEL, "First send after a receive: a request begins, on a client.") \
  X(tcp_recv, TcpRecvInfo, KERNEL, "First receive after a send: a response is read, on a client.") \
  X(tcp_closed, TcpClosedInfo, KERNEL, "The kernel destroyed the socket; says its totals.") \
  X(tcp_existing, TcpExistingInfo, KERNEL, "A socket that was there before the observer.") \
  X(dns_query, DnsQueryInfo, KERNEL, "A DNS question left the machine or went to a local stub.") \
  X(dns_answer, DnsAnswerInfo, KERNEL, "A DNS answer arrived.") \
  X(fd_limit_hit, FdLimitHitInfo, KERNEL, "A system call failed with EMFILE, ENFILE or (connect) EADDRNOTAVAIL.") \
  X(fd_census, FdCensusInfo, KERNEL, "Open descriptors and limits of a process at one moment.") \
  X(process_start, ProcessStartInfo, KERNEL, "A process is observed from here on.") \
  X(process_exit, ProcessExitInfo, KERNEL, "An observed process ended.") \
  X(body_held, BodyHeldInfo, HOOK, "The application has let a response body wait for long; its connection serves nobody else.") \
  X(proxy_connect_start, ProxyConnectStartInfo, HOOK, "The proxy is asked to make the way to the target: CONNECT, or the SOCKS5 handshake.") \
  X(proxy_connect_done, ProxyConnectDoneInfo, HOOK, "The proxy made the way to the target, or did not.") \
  X(tls_message, TlsMessageInfo, HOOK, "One message of a TLS handshake; only when tls_messages asks for them.") \
  X(tcp_accept, TcpAcceptInfo, KERNEL, "A process took a connection from the accept queue.")
/* clang-format on */

enum conntrace_event_kind {
#define CONNTRACE_ROW(name, payload, origin, meaning) CONNTRACE_EVENT_##name,
  CONNTRACE_EVENTS(CONNTRACE_ROW)
#undef CONNTRACE_ROW
      CONNTRACE_EVENT_COUNT
};

#endif
