//! A service of Windows: the system starts the host, and its stop is a drain.

#[cfg(windows)]
pub(super) use system::run;

use std::sync::atomic::{AtomicBool, Ordering};

/// This process was started to be a service.
static IS_SERVICE: AtomicBool = AtomicBool::new(false);

/// From now on [`report`] has somebody to tell.
pub(super) fn begin() {
    IS_SERVICE.store(true, Ordering::Relaxed);
}

/// Tells the operator of a service what ends it: it has no standard error, and its log is not written yet.
pub(super) fn report(problem: &str) {
    if IS_SERVICE.load(Ordering::Relaxed) {
        crate::plugin::report_event(problem);
    }
}

/// Only Windows has such services.
///
/// # Errors
/// Always.
#[cfg(not(windows))]
pub(super) fn run(
    _end_may_take: std::time::Duration,
    _serve: impl FnOnce() -> bool + Send + 'static,
) -> Result<(), String> {
    Err("only Windows has such services; systemd, launchd and others run 'serve' as it is, and SIGTERM stops it"
        .to_owned())
}

#[cfg(windows)]
mod system {
    use crate::rt::{end_by_request, end_only_by_request};
    use crate::telemetry::chain;
    use parking_lot::Mutex;
    use std::ffi::OsString;
    use std::sync::OnceLock;
    use std::time::Duration;
    use windows_service::service::{
        ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
    };
    use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
    use windows_service::{define_windows_service, service_dispatcher};

    /// How long Windows is told at most that an end may take.
    const LONGEST_HINT: Duration = Duration::from_secs(24 * 3600);

    /// What is run, with how long its end may take.
    struct Body {
        serve: Box<dyn FnOnce() -> bool + Send>,
        end_may_take: Duration,
    }

    /// The system calls a function that takes nothing along.
    static BODY: Mutex<Option<Body>> = Mutex::new(None);

    define_windows_service!(service_main, serve);

    /// Serves as the service that this process was started for, until the system stops it. `serve` gives whether all went well.
    ///
    /// # Errors
    /// When no service was started with this process.
    pub(in crate::cli) fn run(
        end_may_take: Duration,
        serve: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<(), String> {
        // More than Windows can be told.
        let end_may_take = end_may_take.min(LONGEST_HINT);
        *BODY.lock() = Some(Body { serve: Box::new(serve), end_may_take });
        service_dispatcher::start("", service_main).map_err(|error| {
            format!(
                "this is no service that Windows has started; without --service it serves in this console: {}",
                chain(&error)
            )
        })
    }

    fn serve(_words: Vec<OsString>) {
        let Some(Body { serve, end_may_take }) = BODY.lock().take() else {
            return;
        };
        let handle: &'static OnceLock<ServiceStatusHandle> = Box::leak(Box::default());
        let tell = move |state, code| {
            if let Some(handle) = handle.get() {
                // The system asks again when it does not hear.
                let _ = handle.set_service_status(status(state, code, end_may_take));
            }
        };
        let registered = service_control_handler::register("", move |control| match control {
            ServiceControl::Stop | ServiceControl::Shutdown => {
                tell(ServiceState::StopPending, 0);
                end_by_request();
                ServiceControlHandlerResult::NoError
            }
            ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
            _ => ServiceControlHandlerResult::NotImplemented,
        });
        let registered = match registered {
            Ok(registered) => registered,
            Err(error) => return super::report(&format!("Windows does not take this service: {}", chain(&error))),
        };
        let _ = handle.set(registered);
        end_only_by_request();
        tell(ServiceState::Running, 0);
        let is_well = serve();
        tell(ServiceState::Stopped, u32::from(!is_well));
    }

    fn status(state: ServiceState, code: u32, end_may_take: Duration) -> ServiceStatus {
        let is_running = state == ServiceState::Running;
        ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted: match is_running {
                true => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
                false => ServiceControlAccept::empty(),
            },
            exit_code: if code == 0 { ServiceExitCode::NO_ERROR } else { ServiceExitCode::ServiceSpecific(code) },
            checkpoint: 0,
            wait_hint: if state == ServiceState::StopPending { end_may_take } else { Duration::ZERO },
            process_id: None,
        }
    }
}
