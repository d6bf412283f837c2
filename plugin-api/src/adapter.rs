//! From a plugin's definition to the object that crosses the boundary.

use crate::abi::{
    CallContext, Failure, HostObject, Outcome, Panicked, PluginApi, PluginObject, Reply, StartReply, failure, foreign,
    guard, op,
};
use crate::context::Context;
use crate::host::Host;
use crate::invocation::Invocation;
use crate::log;
use crate::plugin::{Items, Plugin};
use crate::runtime::{Engine, internal, panicked, run_at_once};
use crate::visibility::Visibility;
use foreign::{RSlice, RStr, RVec, TD_Opaque};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A started plugin with its functions and its runtime.
pub(crate) struct Adapter<P> {
    plugin: Arc<P>,
    items: Items<P>,
    visibility: Visibility,
    engine: Engine,
}

impl<P: Plugin> Adapter<P> {
    /// Starts a plugin. Must not run on a runtime's thread.
    pub(crate) fn start(host: Host, config: &[u8]) -> Result<Self, Failure> {
        let engine = Engine::default();
        let config = config.to_vec();
        let visibility = host.visibility().clone();
        let starting = async move { P::start(&config, host).await };
        // Many plugins need no runtime before their first call, and some never.
        let started = if P::HAS_START { engine.run_to_end(starting)? } else { run_at_once(starting)? };
        Ok(Self {
            plugin: Arc::new(started.map_err(crate::Error::into_failure)?),
            items: P::items(),
            visibility,
            engine,
        })
    }

    pub(crate) fn manifest(&self) -> crate::manifest::Manifest {
        self.items.manifest(&self.plugin, &self.visibility)
    }

    pub(crate) fn run(&self, op: &str, name: &str, payload: &[u8], context: Context) -> Outcome {
        let call = Invocation {
            plugin: &self.plugin,
            engine: &self.engine,
            context,
            name,
            payload,
            variables: BTreeMap::new(),
        };
        match op {
            op::TOOL => self.items.run_tool(call),
            op::RESOURCE => self.items.run_resource(call),
            op::PROMPT => self.items.run_prompt(call),
            op::COMPLETE => self.items.run_completion(call),
            other => Outcome::Ready(Reply::RErr(Failure {
                kind: failure::NOT_FOUND.into(),
                message: format!("this plugin does not know the operation '{other}'").into(),
                data: Vec::new().into(),
            })),
        }
    }

    fn run_stop(&self, grace: Duration) -> Reply {
        let plugin = Arc::clone(&self.plugin);
        let stopped = self.engine.run_to_end(async move { tokio::time::timeout(grace, plugin.stop()).await.is_ok() });
        match stopped {
            Ok(true) => Reply::ROk(b"null".to_vec().into()),
            Ok(false) => Reply::RErr(internal("the plugin did not stop in time".to_owned())),
            Err(failure) => Reply::RErr(failure),
        }
    }
}

impl<P> Drop for Adapter<P> {
    fn drop(&mut self) {
        // The author's drop runs here, and may panic; the engine's threads end on a plain thread.
        let mut engine = std::mem::take(&mut self.engine);
        let _ = guard(|| {
            let _ = std::thread::Builder::new().name("plugin-end".to_owned()).spawn(move || {
                engine.shut_down(Duration::from_secs(1));
            });
        });
    }
}

/// Starts a plugin for a host. Runs on a plain thread of the host's; what panics becomes a failure.
pub fn start<P: Plugin>(host: HostObject, config: RSlice<'_, u8>) -> StartReply {
    let host = Host::new(host);
    let started = guard(|| {
        log::install(&host);
        Adapter::<P>::start(host, config.as_slice())
    });
    match started {
        Ok(Ok(adapter)) => StartReply::ROk(PluginObject::from_value(Contained(Some(adapter)), TD_Opaque)),
        Ok(Err(failure)) => StartReply::RErr(failure),
        Err(panic) => StartReply::RErr(panicked(panic)),
    }
}

/// The object that crosses: an adapter of which nothing panics out, its drop included.
struct Contained<P: Plugin>(Option<Adapter<P>>);

impl<P: Plugin> Contained<P> {
    fn adapter(&self) -> &Adapter<P> {
        // Taken by `drop` only.
        self.0.as_ref().expect("an adapter is there until it is dropped")
    }
}

impl<P: Plugin> Drop for Contained<P> {
    fn drop(&mut self) {
        let adapter = self.0.take();
        let _ = guard(move || drop(adapter));
    }
}

impl<P: Plugin> PluginApi for Contained<P> {
    fn manifest(&self) -> RVec<u8> {
        guard(|| serde_json::to_vec(&self.adapter().manifest()).unwrap_or_default()).unwrap_or_default().into()
    }

    fn call(&self, op: RStr<'_>, name: RStr<'_>, payload: RSlice<'_, u8>, context: CallContext) -> Outcome {
        let run = || self.adapter().run(op.as_str(), name.as_str(), payload.as_slice(), Context::new(context));
        guard(run).unwrap_or_else(|panic| Outcome::Ready(Reply::RErr(panicked(panic))))
    }

    #[cfg(feature = "abi-next")]
    fn health(&self) -> RVec<u8> {
        b"\"healthy\"".to_vec().into()
    }

    fn stop(&self, grace_ms: u64) -> Outcome {
        if !P::HAS_STOP {
            return Outcome::Ready(Reply::ROk(b"null".to_vec().into()));
        }
        // The stop hook may block, and the host may ask for it on a runtime's thread: it gets a thread of its own.
        let grace = Duration::from_millis(grace_ms);
        let run = || std::thread::scope(|scope| scope.spawn(|| self.adapter().run_stop(grace)).join());
        // Guarded as well, because the system may have no thread to give.
        let stopped = guard(run).and_then(|joined| joined.map_err(Panicked::from_payload));
        Outcome::Ready(stopped.unwrap_or_else(|panic| Reply::RErr(panicked(panic))))
    }
}
