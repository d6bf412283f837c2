//! What the host is measured against: a bare handler, and a server of the official Rust SDK. `measure peer bare|rmcp
//! http|stdio`; HTTP servers say on stderr where they listen.

mod bare;
mod sdk;

use axum::serve::ListenerExt as _;

pub(crate) fn run(words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match words[..] {
        ["bare", "http"] => runtime.block_on(bare::serve_http()),
        ["bare", "stdio"] => bare::serve_stdio(),
        ["rmcp", "http"] => runtime.block_on(sdk::serve_http()),
        ["rmcp", "stdio"] => runtime.block_on(sdk::serve_stdio()),
        _ => panic!("measure peer bare|rmcp http|stdio"),
    }
}

/// Serves HTTP at a free port, and says where.
async fn serve(router: axum::Router) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("listening on http://{}/mcp", listener.local_addr().unwrap());
    // Without delay, as the host: the pieces of a stream would wait for each other's acknowledgement.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}
