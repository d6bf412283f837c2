//! How often the host allocates for one call: known, and held.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(unsafe_code, reason = "an allocator is unsafe by its nature; this one counts and passes on")]

use mcp_host_bench::in_process::{InProcess, MESSAGE};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts what the threads that want it allocate. What plugins allocate is theirs.
struct Counting;

thread_local! {
    static COUNT: Cell<Option<usize>> = const { Cell::new(None) };
}

fn count() {
    let _ = COUNT.try_with(|count| count.set(count.get().map(|count| count + 1)));
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that the system's allocator wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of an answer, from the parsed request of HTTP to the body, in the best of several calls: caches and queues grow now and then.
async fn allocations(host: &InProcess, request: impl Fn() -> axum::http::Request<axum::body::Body>) -> usize {
    let mut least = usize::MAX;
    for _ in 0..100 {
        let request = request();
        COUNT.set(Some(0));
        let body = host.answer(request).await;
        let count = COUNT.replace(None).unwrap();
        assert!(memchr::memmem::find(&body, MESSAGE.as_bytes()).is_some());
        least = least.min(count);
    }
    least
}

#[test]
fn a_call_allocates_as_often_as_is_known() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = InProcess::start(10).await;
        let counts = [
            ("echo, 2025-11-25", allocations(&host, || host.in_session("echo")).await),
            ("echo, 2026-07-28", allocations(&host, || host.stateless("echo")).await),
        ];
        assert_eq!(counts, [("echo, 2025-11-25", 26), ("echo, 2026-07-28", 28)]);
        host.stop().await;
    });
}
