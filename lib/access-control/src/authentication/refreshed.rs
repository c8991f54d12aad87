//! A copy of what is kept elsewhere: the keys of an issuer, the API keys in the database.
//!
//! One task loads it, again and again. A request that misses something asks for one more load and waits for it. All requests share
//! that load, and it goes on if one of them ends. Between two such loads is a pause, so that requests can't make load after load.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use error_chain::error_chain;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Why a load failed.
pub(super) type LoadError = Box<dyn Error + Send + Sync>;

/// Where the copy is loaded from.
pub(super) trait RefreshSource: Send + Sync + 'static {
    type Value: Send + Sync + 'static;

    /// What is loaded, for the log.
    fn name(&self) -> String;

    fn load(&self) -> impl Future<Output = Result<Self::Value, LoadError>> + Send;
}

/// How often the copy is loaded, and how long a load may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefreshTiming {
    /// Between loads.
    pub(super) refresh: Duration,
    /// After a load that failed.
    pub(super) retry: Duration,
    /// Between loads that requests ask for.
    pub(super) pause: Duration,
    /// How long one may take.
    pub(super) timeout: Duration,
}

/// A copy of what is kept elsewhere, which a task loads again and again. The task ends when this is dropped.
#[derive(Debug)]
pub(super) struct RefreshedCopy<T> {
    shared: Arc<Shared<T>>,
    timing: RefreshTiming,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared<T> {
    copy: RwLock<RefreshedValue<T>>,
    asked: Mutex<Asked>,
    wake: Notify,
    /// The number of the last load that ended.
    ended: watch::Sender<u64>,
}

/// What a [`RefreshedCopy`] holds at a moment, and how old it is.
#[derive(Debug)]
pub(super) struct RefreshedValue<T> {
    /// The last one that was loaded, if any was.
    pub(super) value: Option<Arc<T>>,
    /// When that load began: what changed later may not be in it.
    pub(super) as_of: Instant,
    /// Whether the last load failed.
    pub(super) failed: bool,
}

impl<T> Clone for RefreshedValue<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), as_of: self.as_of, failed: self.failed }
    }
}

#[derive(Debug)]
struct Asked {
    /// The number of the last load that was asked for. The first one was asked for by nobody.
    number: u64,
    at: Option<Instant>,
}

impl<T: Send + Sync + 'static> RefreshedCopy<T> {
    /// Begins to load, without waiting for it.
    pub(super) fn start(source: impl RefreshSource<Value = T>, timing: RefreshTiming) -> Self {
        let shared = Arc::new(Shared {
            copy: RwLock::new(RefreshedValue { value: None, as_of: Instant::now(), failed: false }),
            asked: Mutex::new(Asked { number: 1, at: None }),
            wake: Notify::new(),
            ended: watch::Sender::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn(keep_loading(source, Arc::clone(&shared), timing, stop.clone()));
        Self { shared, timing, _stop: stop.drop_guard() }
    }

    pub(super) fn current(&self) -> RefreshedValue<T> {
        self.shared.copy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a load that is under way, or asks for one unless the pause forbids it. Then says what there is.
    pub(super) async fn reloaded(&self) -> RefreshedValue<T> {
        let mut ended = self.shared.ended.subscribe();
        let number = {
            let mut asked = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let under_way = asked.number > *ended.borrow_and_update();
            let may_ask = asked.at.is_none_or(|at| at.elapsed() >= self.timing.pause);
            if !under_way && may_ask {
                (asked.number, asked.at) = (asked.number + 1, Some(Instant::now()));
                self.shared.wake.notify_one();
            }
            asked.number
        };
        // A load that began earlier may have to end before.
        let _ = timeout(self.timing.timeout * 2, ended.wait_for(|ended| *ended >= number)).await;
        self.current()
    }
}

impl<T> RefreshedCopy<T> {
    /// How long until a request may ask for a load again.
    pub(super) fn pause_left(&self) -> Duration {
        let asked = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.at.map_or(Duration::ZERO, |at| self.timing.pause.saturating_sub(at.elapsed()))
    }
}

impl<T> Shared<T> {
    /// Takes over what was loaded, and keeps the last one if nothing was. Returns whether the load before had failed.
    fn replace(&self, loaded: Option<Arc<T>>, as_of: Instant) -> bool {
        let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
        let failed = loaded.is_none();
        if loaded.is_some() {
            (copy.value, copy.as_of) = (loaded, as_of);
        }
        std::mem::replace(&mut copy.failed, failed)
    }
}

async fn keep_loading<S: RefreshSource>(
    source: S,
    shared: Arc<Shared<S::Value>>,
    timing: RefreshTiming,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let number = shared.asked.lock().unwrap_or_else(PoisonError::into_inner).number;
        let as_of = Instant::now();
        let loaded = match timeout(timing.timeout, source.load()).await {
            Ok(loaded) => loaded.map(Arc::new),
            Err(_) => Err(format!("no answer within {:?}", timing.timeout).into()),
        };
        let failed = loaded.is_err();
        let failed_before = shared.replace(loaded.as_ref().ok().cloned(), as_of);
        match loaded {
            Ok(_) if failed_before => tracing::info!("{} can be loaded again", source.name()),
            Err(error) if !failed_before => {
                tracing::warn!(error = error_chain(&*error), "{} can't be loaded", source.name());
            }
            Ok(_) | Err(_) => {}
        }
        shared.ended.send_replace(number);
        let next = if failed { timing.retry } else { timing.refresh };
        let _ = stop.run_until_cancelled(timeout(next, shared.wake.notified())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    const TIMING: RefreshTiming = RefreshTiming {
        refresh: Duration::from_secs(300),
        retry: Duration::from_secs(10),
        pause: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
    };

    /// Counts its loads, each of which takes 100 ms. The value is the number of the load.
    #[derive(Debug, Clone, Default)]
    struct Counting {
        loads: Arc<AtomicU64>,
        is_away: Arc<AtomicBool>,
    }

    impl RefreshSource for Counting {
        type Value = u64;

        fn name(&self) -> String {
            "the count".to_owned()
        }

        async fn load(&self) -> Result<u64, LoadError> {
            let number = self.loads.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.is_away.load(Ordering::SeqCst) { Err("it is away".into()) } else { Ok(number) }
        }
    }

    async fn value(refreshed: &RefreshedCopy<u64>) -> Option<u64> {
        refreshed.reloaded().await.value.as_deref().copied()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_share_a_load_and_make_one_a_minute() {
        let source = Counting::default();
        let refreshed = RefreshedCopy::start(source.clone(), TIMING);
        assert_eq!(value(&refreshed).await, Some(1), "the first load is waited for, and was nobody's");
        let all = (0..1_000).map(|_| value(&refreshed));
        let all = futures_util::future::join_all(all).await;
        assert!(all.iter().all(|value| *value == Some(2)));
        for _ in 0..1_000 {
            assert_eq!(value(&refreshed).await, Some(2));
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(value(&refreshed).await, Some(3));
        assert_eq!(source.loads.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_goes_on_when_the_request_that_asked_for_it_ends() {
        let source = Counting::default();
        let refreshed = RefreshedCopy::start(source.clone(), TIMING);
        value(&refreshed).await;
        let gone = timeout(Duration::from_millis(10), refreshed.reloaded()).await;
        assert!(gone.is_err());
        assert_eq!(value(&refreshed).await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_copy_is_kept_while_the_source_is_away() {
        let source = Counting::default();
        let refreshed = RefreshedCopy::start(source.clone(), TIMING);
        value(&refreshed).await;
        source.is_away.store(true, Ordering::SeqCst);
        let kept = refreshed.reloaded().await;
        assert_eq!((kept.value.as_deref(), kept.failed), (Some(&1), true));
        source.is_away.store(false, Ordering::SeqCst);
        tokio::time::sleep(TIMING.retry + Duration::from_secs(1)).await;
        let now = refreshed.current();
        assert_eq!((now.value.as_deref(), now.failed), (Some(&3), false));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_loaded_again_without_being_asked() {
        let source = Counting::default();
        let refreshed = RefreshedCopy::start(source.clone(), TIMING);
        tokio::time::sleep(TIMING.refresh * 3 + Duration::from_secs(1)).await;
        assert_eq!(source.loads.load(Ordering::SeqCst), 4);
        drop(refreshed);
        tokio::time::sleep(TIMING.refresh * 3).await;
        assert_eq!(source.loads.load(Ordering::SeqCst), 4);
    }
}
