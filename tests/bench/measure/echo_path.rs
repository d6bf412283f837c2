//! Calls of an echo tool through the whole host, without sockets, and nothing else: what is counted of it is counted by whoever
//! runs it. `measure echo-path ERA CALLS [TOOLS]`, where ERA is `2025-11-25` or `2026-07-28` and the host has TOOLS tools, 10 where
//! nothing is said.
//!
//! `tests/bench/instructions` runs it twice under callgrind, and takes the difference.

use mcp_host_bench::in_process::{InProcess, MESSAGE};

pub(crate) fn run(words: &[String]) {
    let (era, calls, tools) = match words {
        [era, calls] => (era, calls, "10"),
        [era, calls, tools] => (era, calls, tools.as_str()),
        _ => panic!("measure echo-path ERA CALLS [TOOLS]"),
    };
    let calls: usize = calls.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = InProcess::start(tools.parse().unwrap()).await;
        for _ in 0..calls {
            let request = match era.as_str() {
                "2025-11-25" => host.in_session("echo"),
                "2026-07-28" => host.stateless("echo"),
                other => panic!("there is no era of '{other}'"),
            };
            let body = host.answer(request).await;
            assert!(memchr::memmem::find(&body, MESSAGE.as_bytes()).is_some());
        }
        host.stop().await;
    });
}
