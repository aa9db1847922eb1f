//! Sessions and presence.

use super::{LONG, RegistryPlace, SHORT, SessionRecord, SessionRegistry, session, user};
use crate::registry::Presence;

pub(super) async fn run<P: RegistryPlace>(fresh: &impl AsyncFn() -> P) {
    a_session_is_found_by_its_user_until_it_is_removed(&fresh().await).await;
    a_session_that_nobody_renews_is_gone_after_its_time(&fresh().await).await;
    an_older_epoch_neither_removes_nor_replaces_a_newer(&fresh().await).await;
    many_users_are_renewed_together(&fresh().await).await;
    who_is_gone_was_seen_last_but_not_before_the_registry_is_settled(&fresh().await).await;
    a_registry_that_lost_everything_says_unknown_until_it_is_renewed(&fresh().await).await;
}

async fn found(registry: &dyn SessionRegistry, name: &str) -> Vec<SessionRecord> {
    registry.sessions_of(&user(name)).await.unwrap()
}

async fn presence(registry: &dyn SessionRegistry, name: &str) -> Presence {
    registry.presence(&[user(name)]).await.unwrap()[0]
}

async fn a_session_is_found_by_its_user_until_it_is_removed(place: &impl RegistryPlace) {
    let (one, other) = (place.open().await, place.open().await);
    let all = [session("ada", "g1", 1, 1), session("ada", "g2", 1, 1)];
    one.renew(&all, LONG).await.unwrap();
    one.renew(&all, LONG).await.unwrap();
    assert_eq!(found(&*other, "ada").await, all);
    assert_eq!(found(&*other, "ad").await, []);
    assert_eq!(presence(&*other, "ada").await, Presence::Online);
    other.remove(&all[..1]).await.unwrap();
    other.remove(&all[..1]).await.unwrap();
    assert_eq!(found(&*one, "ada").await, all[1..]);
    assert_eq!(presence(&*one, "ada").await, Presence::Online);
    one.remove(&all).await.unwrap();
    assert_eq!(found(&*one, "ada").await, []);
}

async fn a_session_that_nobody_renews_is_gone_after_its_time(place: &impl RegistryPlace) {
    let registry = place.open().await;
    let (brief, lasting) = (session("ada", "g1", 1, 1), session("ada", "g1", 2, 1));
    registry.renew(&[brief], SHORT).await.unwrap();
    registry
        .renew(std::slice::from_ref(&lasting), LONG)
        .await
        .unwrap();
    while found(&*registry, "ada").await.len() > 1 {
        place.pause().await;
    }
    assert_eq!(found(&*registry, "ada").await, [lasting]);
}

async fn an_older_epoch_neither_removes_nor_replaces_a_newer(place: &impl RegistryPlace) {
    let registry = place.open().await;
    let (old, new) = (session("ada", "g1", 1, 1), session("ada", "g1", 1, 2));
    for record in [&old, &new, &old] {
        registry
            .renew(std::slice::from_ref(record), LONG)
            .await
            .unwrap();
    }
    assert_eq!(found(&*registry, "ada").await, std::slice::from_ref(&new));
    registry.remove(&[old]).await.unwrap();
    assert_eq!(found(&*registry, "ada").await, std::slice::from_ref(&new));
    registry.remove(&[new]).await.unwrap();
    assert_eq!(found(&*registry, "ada").await, []);
}

async fn many_users_are_renewed_together(place: &impl RegistryPlace) {
    let registry = place.open().await;
    let all: Vec<_> = (0..2_000)
        .map(|n| session(&format!("u{}", n % 1_000), "g1", n, 1))
        .collect();
    registry.renew(&all, LONG).await.unwrap();
    assert_eq!(
        found(&*registry, "u7").await,
        [all[7].clone(), all[1_007].clone()]
    );
    let users: Vec<_> = (0..1_500).map(|n| user(&format!("u{n}"))).collect();
    let presence = registry.presence(&users).await.unwrap();
    assert_eq!(presence.len(), users.len());
    let online = |presence: &[Presence]| presence.iter().all(|one| *one == Presence::Online);
    assert!(online(&presence[..1_000]));
    assert!(
        presence[1_000..]
            .iter()
            .all(|one| *one == Presence::Unknown)
    );
    registry.remove(&all).await.unwrap();
    assert_eq!(found(&*registry, "u7").await, []);
}

async fn who_is_gone_was_seen_last_but_not_before_the_registry_is_settled(
    place: &impl RegistryPlace,
) {
    let registry = place.open().await;
    let (ada, bob) = (session("ada", "g1", 1, 1), session("bob", "g1", 2, 1));
    let all = [ada.clone(), bob];
    registry.renew(&all, LONG).await.unwrap();
    registry.remove(std::slice::from_ref(&ada)).await.unwrap();
    assert_eq!(
        presence(&*registry, "ada").await,
        Presence::Unknown,
        "not settled"
    );
    // With a shorter time to live it is settled sooner.
    let seen = loop {
        registry.renew(&all[1..], LONG).await.unwrap();
        registry.renew(&[], SHORT).await.unwrap();
        match presence(&*registry, "ada").await {
            Presence::LastSeen(at) => break at,
            Presence::Unknown => place.pause().await,
            Presence::Online => panic!("ada was removed"),
        }
    };
    assert!(seen.0 > 0);
    assert_eq!(presence(&*registry, "bob").await, Presence::Online);
    assert_eq!(
        presence(&*registry, "eve").await,
        Presence::Unknown,
        "never heard of"
    );
    // Nobody renews any more: bob's session lapses, and that is no news of bob.
    registry.renew(&all[1..], SHORT).await.unwrap();
    while presence(&*registry, "bob").await == Presence::Online {
        place.pause().await;
    }
    assert_eq!(presence(&*registry, "bob").await, Presence::Unknown);
    assert_eq!(presence(&*registry, "ada").await, Presence::Unknown);
}

async fn a_registry_that_lost_everything_says_unknown_until_it_is_renewed(
    place: &impl RegistryPlace,
) {
    let registry = place.open().await;
    let all = [session("ada", "g1", 1, 1), session("bob", "g1", 2, 1)];
    registry.renew(&all, LONG).await.unwrap();
    place.lose_everything().await;
    assert_eq!(found(&*registry, "ada").await, []);
    assert_eq!(presence(&*registry, "ada").await, Presence::Unknown);
    registry.renew(&all[..1], LONG).await.unwrap();
    assert_eq!(found(&*registry, "ada").await, all[..1]);
    assert_eq!(presence(&*registry, "ada").await, Presence::Online);
    assert_eq!(presence(&*registry, "bob").await, Presence::Unknown);
}
