//! Leases: one holder a name, fences that only grow, and looks that know whether they are whole.

use super::{LONG, NodeName, RegistryPlace, SHORT, SessionRegistry, node};
use crate::registry::{Fence, Lease, Taken};

pub(super) async fn run<P: RegistryPlace>(fresh: &impl AsyncFn() -> P) {
    a_name_has_one_holder_until_it_is_released(&fresh().await).await;
    a_lapsed_lease_goes_to_who_stands_by_and_its_holder_hears_so(&fresh().await).await;
    a_lease_that_lapsed_unclaimed_is_renewed(&fresh().await).await;
    a_registry_that_lost_everything_takes_leases_in_again(&fresh().await).await;
    those_who_look_see_all_by_name_and_hear_when_it_is_settled(&fresh().await).await;
}

fn group() -> NodeName {
    node("workers")
}

async fn take(registry: &dyn SessionRegistry, name: &str, ttl: std::time::Duration) -> Taken {
    let detail = format!("{name}:7801 of \"here\"");
    let (group, name) = (group(), node(name));
    let taken = registry.take_lease(&group, &name, &detail, ttl);
    taken.await.unwrap()
}

async fn taken(registry: &dyn SessionRegistry, name: &str, ttl: std::time::Duration) -> Lease {
    match take(registry, name, ttl).await {
        Taken::Yes(fence) => Lease {
            name: node(name),
            fence,
            detail: format!("{name}:7801 of \"here\""),
        },
        Taken::Held(by) => panic!("{name} is held by {by:?}"),
    }
}

async fn a_name_has_one_holder_until_it_is_released(place: &impl RegistryPlace) {
    let (one, other) = (place.open().await, place.open().await);
    let first = taken(&*one, "w1", LONG).await;
    assert_eq!(take(&*other, "w1", LONG).await, Taken::Held(first.fence));
    let (others, same) = (node("others"), node("w1"));
    let elsewhere = other.take_lease(&others, &same, "", LONG);
    assert!(
        matches!(elsewhere.await.unwrap(), Taken::Yes(_)),
        "another group"
    );
    assert!(one.renew_lease(&group(), &first, LONG).await.unwrap());
    one.release_lease(&group(), &first).await.unwrap();
    let second = taken(&*other, "w1", LONG).await;
    assert!(second.fence > first.fence);
    one.release_lease(&group(), &first).await.unwrap();
    assert!(!one.renew_lease(&group(), &first, LONG).await.unwrap());
    let leases = one.leases(&group()).await.unwrap();
    assert_eq!(leases.live, [second]);
}

async fn a_lapsed_lease_goes_to_who_stands_by_and_its_holder_hears_so(place: &impl RegistryPlace) {
    let (one, other) = (place.open().await, place.open().await);
    let first = taken(&*one, "w1", SHORT).await;
    let second = loop {
        match take(&*other, "w1", LONG).await {
            Taken::Yes(fence) => break fence,
            Taken::Held(by) => assert_eq!(by, first.fence),
        }
        place.pause().await;
    };
    assert!(second > first.fence);
    assert!(!one.renew_lease(&group(), &first, LONG).await.unwrap());
    one.release_lease(&group(), &first).await.unwrap();
    let live = one.leases(&group()).await.unwrap().live;
    assert_eq!(
        live.iter().map(|lease| lease.fence).collect::<Vec<_>>(),
        [second]
    );
}

async fn a_lease_that_lapsed_unclaimed_is_renewed(place: &impl RegistryPlace) {
    let registry = place.open().await;
    let lease = taken(&*registry, "w1", SHORT).await;
    while !registry.leases(&group()).await.unwrap().live.is_empty() {
        place.pause().await;
    }
    assert!(registry.renew_lease(&group(), &lease, LONG).await.unwrap());
    assert_eq!(registry.leases(&group()).await.unwrap().live, [lease]);
}

async fn a_registry_that_lost_everything_takes_leases_in_again(place: &impl RegistryPlace) {
    let registry = place.open().await;
    let (one, two) = (
        taken(&*registry, "w1", LONG).await,
        taken(&*registry, "w2", LONG).await,
    );
    assert!(two.fence > one.fence);
    place.lose_everything().await;
    assert_eq!(registry.leases(&group()).await.unwrap().live, []);
    // One comes back by renewing; the other's name is taken by somebody new.
    place.pause().await;
    assert!(registry.renew_lease(&group(), &one, LONG).await.unwrap());
    let new = taken(&*registry, "w2", LONG).await;
    assert!(new.fence > two.fence, "fences grow over a loss too");
    assert!(!registry.renew_lease(&group(), &two, LONG).await.unwrap());
    // Also beyond one that it only heard of.
    let ahead = Lease {
        fence: Fence(new.fence.0 + (1 << 40)),
        ..new.clone()
    };
    assert!(registry.renew_lease(&group(), &ahead, LONG).await.unwrap());
    assert!(taken(&*registry, "w3", LONG).await.fence > ahead.fence);
}

async fn those_who_look_see_all_by_name_and_hear_when_it_is_settled(place: &impl RegistryPlace) {
    let registry = place.open().await;
    let none = registry.leases(&group()).await.unwrap();
    assert!(none.live.is_empty() && !none.settled);
    let mut all = Vec::new();
    for name in ["w2", "w10", "w1"] {
        all.push(taken(&*registry, name, LONG).await);
    }
    let leases = registry.leases(&group()).await.unwrap();
    let names: Vec<_> = leases
        .live
        .iter()
        .map(|lease| lease.name.as_str())
        .collect();
    assert_eq!(names, ["w1", "w10", "w2"]);
    assert_eq!(leases.live[2], all[0]);
    assert!(!leases.settled, "others may still come");
    loop {
        // With a shorter time to live it is settled sooner.
        assert!(
            registry
                .renew_lease(&group(), &all[0], SHORT)
                .await
                .unwrap()
        );
        if registry.leases(&group()).await.unwrap().settled {
            break;
        }
        place.pause().await;
    }
}
