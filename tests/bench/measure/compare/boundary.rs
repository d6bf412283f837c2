//! The boundary alone: a call of a tool that gives 64 bytes and does nothing else, with every guard, against a bare C function
//! that takes 64 bytes and gives 64. What a call is told (its deadline, how it is cancelled) is made once.

#![allow(unsafe_code, reason = "the bare function is called as C calls it")]

use super::report::{Bound, Report};
use mcp_host::call::{Call, Deadline, Teller};
use mcp_host::outlet::Outlet;
use mcp_host::registry::{Answer, Operation};
use mcp_host::session::SessionPeer;
use mcp_host_bench::in_process::{InProcess, Nowhere};
use mcp_host_bench::median;
use mcp_host_bench::process::{self, Place};
use mcp_host_tests::compile_c;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const SOURCE: &str = "
#include <stdlib.h>
#include <string.h>
unsigned char *echo(const unsigned char *bytes, size_t length) {
    unsigned char *copy = malloc(length);
    return copy ? memcpy(copy, bytes, length) : 0;
}
void release(unsigned char *bytes) { free(bytes); }
";

const ARGUMENTS: &[u8; 64] = br#"{"message":"as many bytes as the answer has, that is 64","n":10}"#;

type Echo = unsafe extern "C" fn(*const u8, usize) -> *mut u8;
type Release = unsafe extern "C" fn(*mut u8);

pub(crate) fn compare(report: &mut Report, calls: usize, rounds: usize) {
    process::pin(Place::Servers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let host = runtime.block_on(InProcess::start(10));
    let _entered = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libbare.so");
    compile_c(SOURCE, &file, &["-O2"]);
    // SAFETY: the library is the one above, which has no constructors.
    let library = unsafe { libloading::Library::new(&file) }.unwrap();
    // SAFETY: the function has this type.
    let echo = unsafe { library.get::<Echo>("echo") }.unwrap();
    // SAFETY: the function has this type.
    let release = unsafe { library.get::<Release>("release") }.unwrap();
    let tool = Arc::clone(host.server.registry().snapshot().tool("fixed").unwrap());
    let outlet: Arc<dyn Outlet> = Arc::new(Nowhere);
    let session = host.server.sessions().into_iter().next().unwrap();
    let peer = SessionPeer::new(session, Arc::new(Teller::new(outlet, None)));
    let minute = Duration::from_secs(60);
    let call = Arc::new(Call::new(Arc::new(peer), Deadline::new(minute, minute), CancellationToken::new()));
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(nanoseconds(calls, || {
            // SAFETY: the bytes are there while it runs.
            let copy = unsafe { echo(black_box(ARGUMENTS).as_ptr(), ARGUMENTS.len()) };
            assert!(!black_box(copy).is_null());
            // SAFETY: it is the function's own, and nobody has it any more.
            unsafe { release(copy) };
        }));
        ours.push(nanoseconds(calls, || {
            match tool.callee.call(Operation::Tool, "fixed", black_box(ARGUMENTS), &call) {
                Answer::Ready(answer) => assert_eq!(black_box(answer).unwrap().len(), 64),
                Answer::Pending(_) => panic!("it answers at once"),
            }
        }));
    }
    let (bare, ours) = (median(bare), median(ours));
    println!();
    report.say("a bare C function that gives 64 bytes", bare, "ns", Bound::None);
    report.say("the boundary, with every guard", ours, "ns", Bound::None);
    let bound = Bound::AtMost { goal: 3.0, limit: 30.0 };
    report.say("the boundary, times the bare function", ours / bare, "", bound);
    runtime.block_on(host.stop());
}

fn nanoseconds(calls: usize, mut call: impl FnMut()) -> f64 {
    (0..calls / 10).for_each(|_| call());
    let began = Instant::now();
    (0..calls).for_each(|_| call());
    began.elapsed().as_secs_f64() * 1e9 / calls as f64
}
