//! A server of the official Rust SDK with the tools that are called: of each era over HTTP, with sessions over stdio. It answers
//! with plain JSON where it can, which is without sessions; in sessions it has event streams only.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt as _, schemars, tool, tool_handler, tool_router};
use std::sync::Arc;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Message {
    /// What is said back.
    message: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Order {
    /// What is said back.
    message: String,
    /// How often it was asked for.
    #[expect(dead_code, reason = "it is decoded, and that is all")]
    count: u32,
    /// Where it goes.
    #[expect(dead_code, reason = "it is decoded, and that is all")]
    address: Option<Address>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[expect(dead_code, reason = "it is decoded, and that is all")]
struct Address {
    /// Street and number.
    street: String,
    /// The city.
    city: String,
}

#[derive(Clone)]
struct Server {
    tool_router: ToolRouter<Self>,
}

#[tool_router]
impl Server {
    #[tool(description = "Says back what it is told.")]
    fn echo(&self, Parameters(Message { message }): Parameters<Message>) -> String {
        message
    }

    #[tool(description = "Says back the message of an order, asynchronously.")]
    async fn typed(&self, Parameters(order): Parameters<Order>) -> String {
        order.message
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

fn server() -> Server {
    Server { tool_router: Server::tool_router() }
}

pub(crate) async fn serve_http() {
    // Made once, as a host finds its tools once.
    let server = server();
    let config = StreamableHttpServerConfig::default().with_json_response(true);
    let service =
        StreamableHttpService::new(move || Ok(server.clone()), Arc::new(LocalSessionManager::default()), config);
    super::serve(axum::Router::new().nest_service("/mcp", service)).await;
}

pub(crate) async fn serve_stdio() {
    server().serve(rmcp::transport::stdio()).await.unwrap().waiting().await.unwrap();
}
