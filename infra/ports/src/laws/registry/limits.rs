//! Rates shared by all who name a key.

use std::time::Duration;

use super::RegistryPlace;
use crate::registry::{Allowed, Rate};

/// So slow that nothing is filled while a law is at work.
const SLOW: Rate = Rate {
    per_second: 1,
    burst: 600,
};

pub(super) async fn run<P: RegistryPlace>(fresh: &impl AsyncFn() -> P) {
    all_who_name_a_key_share_its_burst(&fresh().await).await;
    what_was_refused_is_allowed_after_the_time_it_was_told(&fresh().await).await;
}

async fn all_who_name_a_key_share_its_burst(place: &impl RegistryPlace) {
    let (one, other) = (place.open().await, place.open().await);
    assert_eq!(one.spend("a b{c}", SLOW, 300).await, Ok(Allowed::Yes));
    assert_eq!(other.spend("a b{c}", SLOW, 300).await, Ok(Allowed::Yes));
    let Allowed::After(wait) = one.spend("a b{c}", SLOW, 300).await.unwrap() else {
        panic!("the burst is spent");
    };
    assert!(
        wait > Duration::ZERO && wait <= Duration::from_secs(300),
        "{wait:?}"
    );
    assert_eq!(
        one.spend("a b{d}", SLOW, 9_999).await,
        Ok(Allowed::Yes),
        "as the burst"
    );
    let next = one.spend("a b{d}", SLOW, 600).await.unwrap();
    assert_ne!(next, Allowed::Yes);
}

async fn what_was_refused_is_allowed_after_the_time_it_was_told(place: &impl RegistryPlace) {
    let registry = place.open().await;
    let rate = Rate {
        per_second: 20,
        burst: 1,
    };
    assert_eq!(registry.spend("k", rate, 1).await, Ok(Allowed::Yes));
    while let Allowed::After(wait) = registry.spend("k", rate, 1).await.unwrap() {
        assert!(wait <= Duration::from_millis(50), "{wait:?}");
        place.pause().await;
    }
}
