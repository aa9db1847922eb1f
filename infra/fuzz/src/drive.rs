//! Runs a target on case after case until its time is over, or until a case breaks it.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::corpus;
use crate::mutation::cases;
use crate::targets::Target;

/// Cases of one round; the clock is looked at in between.
const ROUND: u32 = 64;
/// A case that takes longer is a finding, in a build without optimisation on a busy machine too.
const SLOW: Duration = Duration::from_secs(20);
/// The most that is tried to make a found case smaller.
const SHRINKS: u32 = 4_000;
const SHRINK_FOR_MS: u32 = 30_000;

/// How long, and from which seed.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// No round begins after so long.
    pub within: Duration,
    /// The same seed gives the same cases, as far as time allows.
    pub seed: u64,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Cases run.
    pub cases: u64,
    /// The most bytes that one case had allocated at one moment.
    pub peak_bytes: u64,
}

/// A case that breaks a target.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The case, shrunk.
    pub bytes: Vec<u8>,
    /// What it breaks.
    pub why: String,
}

thread_local! {
    /// Where the panic of this thread's case was, while one is run.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread ever ran one: its other panics are those of a test.
    static DRIVES: Cell<bool> = const { Cell::new(false) };
}
/// Panics of all other threads: of those that a target has begun.
static ELSEWHERE: AtomicU64 = AtomicU64::new(0);

/// Runs a target until time is over.
///
/// # Errors
/// The first case that breaks it, shrunk.
pub fn drive(target: &dyn Target, settings: Settings) -> Result<Report, Box<Finding>> {
    listen_for_panics();
    let mut samples = target.samples();
    samples.extend(corpus::of(target.name()).into_iter().map(|case| case.bytes));
    warm_up(target);
    let began = Instant::now();
    let mut report = Report::default();
    let mut round = 0;
    while began.elapsed() < settings.within {
        let seen = RefCell::new(Report::default());
        let outcome = runner(settings.seed, round).run(&cases(), |case| {
            let peak_bytes = check(target, &case.bytes(&samples)).map_err(TestCaseError::fail)?;
            let mut seen = seen.borrow_mut();
            seen.cases += 1;
            seen.peak_bytes = seen.peak_bytes.max(peak_bytes);
            Ok(())
        });
        let seen = seen.into_inner();
        report.cases += seen.cases;
        report.peak_bytes = report.peak_bytes.max(seen.peak_bytes);
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(why, case)) => {
                let (bytes, why) = (case.bytes(&samples), why.message().to_owned());
                return Err(Box::new(Finding { bytes, why }));
            }
            Err(TestError::Abort(why)) => {
                let (bytes, why) = (Vec::new(), why.message().to_owned());
                return Err(Box::new(Finding { bytes, why }));
            }
        }
        round += 1;
    }
    Ok(report)
}

fn runner(seed: u64, round: u64) -> TestRunner {
    let config = Config {
        cases: ROUND,
        failure_persistence: None,
        max_shrink_iters: SHRINKS,
        max_shrink_time: SHRINK_FOR_MS,
        ..Config::default()
    };
    let mut key = [0; 32];
    for (to, from) in key
        .iter_mut()
        .zip(seed.to_le_bytes().into_iter().chain(round.to_le_bytes()))
    {
        *to = from;
    }
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &key))
}

/// Lets a target make what is made once (tables of schemas, say), so that no case is charged for it.
pub fn warm_up(target: &dyn Target) {
    for sample in target.samples() {
        // What breaks here breaks again where it is counted.
        drop(check(target, &sample));
    }
}

/// Runs one case. Answers the most bytes that this thread had allocated for it at one moment.
///
/// # Errors
/// What it breaks: a panic with its place, a bound of memory, or of time.
pub fn check(target: &dyn Target, bytes: &[u8]) -> Result<u64, String> {
    listen_for_panics();
    let elsewhere = ELSEWHERE.load(Ordering::SeqCst);
    let began = Instant::now();
    let mut caught = Ok(());
    RUNNING.set(true);
    let used = allocation_counter::measure(|| {
        caught = catch_unwind(AssertUnwindSafe(|| target.run(bytes)));
    });
    RUNNING.set(false);
    if caught.is_err() {
        return Err(PANIC.take().unwrap_or_else(|| "it panicked".to_owned()));
    }
    if ELSEWHERE.load(Ordering::SeqCst) != elsewhere {
        return Err("a thread or task of it panicked; its words stand above".to_owned());
    }
    let (took, bound) = (began.elapsed(), target.bound_bytes(bytes.len()));
    if used.bytes_max > bound {
        return Err(format!(
            "{} bytes make it allocate {} at once, more than {bound}",
            bytes.len(),
            used.bytes_max
        ));
    }
    if took > SLOW {
        return Err(format!("{} bytes keep it busy for {took:?}", bytes.len()));
    }
    Ok(used.bytes_max)
}

/// Panics of cases are found cases, not noise; all others are shown as ever.
fn listen_for_panics() {
    static ONCE: Once = Once::new();
    DRIVES.set(true);
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if RUNNING.get() {
                PANIC.set(Some(panic.to_string()));
                return;
            }
            if !DRIVES.get() {
                ELSEWHERE.fetch_add(1, Ordering::SeqCst);
            }
            others(panic);
        }));
    });
}
