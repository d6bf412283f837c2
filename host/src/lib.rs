//! A folder of native plugins, served to every MCP client.
//!
//! The rooms, from the bottom up: `wire`, `rt`, `outlet` and `telemetry` know nothing of MCP; `protocol` and `call` say
//! what a request is; `registry`, `session`, `replay` and `admit` remember; `dispatch`, `plugin` and `skill` act, and meet
//! only at the registry;
//! `serve` orders the steps; `transport` moves bytes; `config`, `app` and `cli` put it all together, `scaffold` and
//! `workshop` help authors to begin and to go on, and `clients` the host into clients. Which room may know
//! which is held by `tests/arch`.

pub mod admit;
pub mod app;
pub mod call;
pub mod cli;
pub mod clients;
pub mod config;
pub mod dispatch;
pub mod outlet;
pub mod plugin;
pub mod protocol;
pub mod registry;
pub mod replay;
pub mod rt;
pub mod runner;
pub mod scaffold;
pub mod serve;
pub mod session;
pub mod skill;
pub mod task;
pub mod telemetry;
pub mod transport;
pub mod wire;
pub mod workshop;
