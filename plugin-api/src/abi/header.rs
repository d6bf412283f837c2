//! What a library exports so that a host can find its module, and how a host judges it.

#![allow(unsafe_code, reason = "the one door through which a library is entered")]

use super::ModuleRef;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::type_layout::TypeLayout;

/// The header of a library whose module is made by `constructor`.
///
/// Spelled out here because `abi_stable`'s own export macro wants `::abi_stable` in the manifest of every plugin.
#[must_use]
pub const fn plugin_header(constructor: extern "C" fn() -> RootModuleResult) -> LibHeader {
    // SAFETY: the only constructors are those that the `plugin` macro writes, and those return a `ModuleRef`.
    unsafe { LibHeader::from_constructor::<ModuleRef>(constructor, CheckTypeLayout::Yes) }
}

/// Whether two layouts of the module can work together.
///
/// `abi_stable`'s check is one-sided: it refuses an older plugin in a newer host as soon as a field was appended. So it
/// is run both ways round, and one acceptance is enough: missing fields then read as `None`, missing methods run their
/// default body.
///
/// # Errors
/// The reason of the refusal, shortened: the full report has tens of kilobytes.
pub fn is_layout_compatible(host: &'static TypeLayout, plugin: &'static TypeLayout) -> Result<(), String> {
    let Err(refusal) = check_layout_compatibility(host, plugin) else {
        return Ok(());
    };
    if check_layout_compatibility(plugin, host).is_ok() {
        return Ok(());
    }
    Err(shorten(&refusal.to_string()))
}

/// The first lines of `abi_stable`'s report that say something.
fn shorten(report: &str) -> String {
    const MAX_CHARS: usize = 400;
    let told: Vec<&str> = report.lines().map(str::trim).filter(|line| !line.is_empty()).take(6).collect();
    told.join("; ").chars().take(MAX_CHARS).collect()
}
