use super::*;
use foreign::StableAbi;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

#[test]
fn metadata_is_laid_out_at_compile_time_and_read_back() {
    static SECTION: [u8; METADATA_CAPACITY] =
        metadata_bytes("a-plugin", "1.2.3", "It is \"quoted\" and \\ more\n", "network\nenv KEY", false);
    assert_eq!(
        parse_metadata(&SECTION),
        Ok(Metadata {
            format: 1,
            name: "a-plugin".to_owned(),
            version: "1.2.3".to_owned(),
            description: "It is 'quoted' and / more ".to_owned(),
            abi: KIND.to_owned(),
            level: LEVEL,
            api: "1.0.0".to_owned(),
            panic: PanicMode::Unwind,
            wants: vec!["network".to_owned(), "env KEY".to_owned()],
        })
    );
}

#[test]
fn broken_metadata_is_named() {
    let section = |json: &str| {
        let mut bytes = METADATA_MAGIC.to_vec();
        bytes.extend_from_slice(&(json.len() as u32).to_le_bytes());
        bytes.extend_from_slice(json.as_bytes());
        bytes
    };
    assert_eq!(parse_metadata(b""), Err(MetadataError::NoMagic));
    assert_eq!(parse_metadata(b"MCPPLUG\0\xff\xff"), Err(MetadataError::BadLength));
    assert_eq!(parse_metadata(b"MCPPLUG\0\xff\xff\xff\xff{}"), Err(MetadataError::BadLength));
    assert!(matches!(parse_metadata(&section("{")), Err(MetadataError::BadJson(_))));
    assert!(matches!(parse_metadata(&section("{\"format\":1}")), Err(MetadataError::BadJson(_))));
    assert_eq!(parse_metadata(&section("{\"format\":2}")), Err(MetadataError::UnknownFormat(2)));
}

#[test]
fn a_layout_is_compatible_with_itself() {
    let layout = <ModuleRef as StableAbi>::LAYOUT;
    assert_eq!(is_layout_compatible(layout, layout), Ok(()));
}

#[test]
fn foreign_layouts_are_refused_in_few_words() {
    let refusal = is_layout_compatible(<ModuleRef as StableAbi>::LAYOUT, <foreign::RString as StableAbi>::LAYOUT);
    let words = refusal.unwrap_err();
    assert!(!words.is_empty() && words.len() <= 1600, "{} bytes: {words}", words.len());
}

/// The ABI grows only at its end: whoever changes this text breaks every plugin that was ever built.
#[cfg(not(feature = "abi-next"))]
#[test]
fn the_layout_is_frozen() {
    use abi_stable::type_layout::TLData;
    let reference = <ModuleRef as StableAbi>::LAYOUT;
    let module = reference.phantom_fields().iter().next().unwrap().layout();
    let TLData::PrefixType(prefix) = module.data() else { panic!("the module is a prefix type") };
    assert_eq!(prefix.fields.iter().map(|field| field.name()).collect::<Vec<_>>(), ["level", "start"]);
    assert_eq!(std::mem::size_of::<Failure>(), 3 * std::mem::size_of::<foreign::RString>());
    assert_eq!(std::mem::size_of::<HostObject>(), 3 * std::mem::size_of::<usize>());
    assert_eq!(std::mem::size_of::<PluginObject>(), 3 * std::mem::size_of::<usize>());
    assert_eq!(LEVEL, 1);
}

/// Panics when it is dropped.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("dropped");
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_panic_becomes_its_message() {
    assert_eq!(guard(|| 7), Ok(7));
    assert_eq!(guard(|| panic!("no {}", 1)), Err::<(), _>(Panicked("no 1".to_owned())));
    assert_eq!(guard(|| std::panic::panic_any(5)), Err::<(), _>(Panicked("a panic without a message".to_owned())));
}

#[test]
fn a_payload_whose_drop_panics_ends_here() {
    let drops = Arc::new(AtomicUsize::new(0));
    let bomb = Bomb(Arc::clone(&drops));
    assert!(guard(|| std::panic::panic_any(bomb)).is_err());
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn panics_in_polls_and_drops_of_futures_end_here() {
    let mut in_poll = GuardedFuture::<()>::new(async { panic!("polled") });
    assert_eq!(poll_once(&mut in_poll), Poll::Ready(Err(Panicked("polled".to_owned()))));

    let drops = Arc::new(AtomicUsize::new(0));
    let bomb = Bomb(Arc::clone(&drops));
    let mut pending = GuardedFuture::new(async move {
        let _bomb = bomb;
        std::future::pending::<()>().await;
    });
    assert_eq!(poll_once(&mut pending), Poll::Pending);
    drop(pending);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn a_foreign_future_reports_a_panic_as_a_failure() {
    let mut future = into_foreign(async { panic!("inside") });
    match poll_once(&mut future) {
        Poll::Ready(Reply::RErr(failure)) => {
            assert_eq!(failure.kind, failure::PANICKED);
            assert_eq!(failure.message, "inside");
        }
        _ => panic!("it is not ready with a failure"),
    }
}
