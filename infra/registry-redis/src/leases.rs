//! Leases as Redis's scripts answer them. Pure.

use infra_ports::registry::{
    Fence, Lease, Leases, MAX_DETAIL_BYTES, NodeName, RegistryError, Taken,
};

use crate::sessions::foreign;

/// Refuses what is too long to be a detail.
pub(crate) fn check(detail: &str) -> Result<(), RegistryError> {
    if detail.len() > MAX_DETAIL_BYTES {
        let why = format!(
            "a detail of {} bytes, over {MAX_DETAIL_BYTES}",
            detail.len()
        );
        return Err(RegistryError::Refused(why));
    }
    Ok(())
}

/// Whether a lease was taken, and the fence of who has it.
pub(crate) fn taken((taken, fence): (u8, u64)) -> Result<Taken, RegistryError> {
    match taken {
        0 => Ok(Taken::Held(Fence(fence))),
        1 => Ok(Taken::Yes(Fence(fence))),
        other => Err(foreign(&other.to_string())),
    }
}

/// The leases of a group: whether they are settled, then name, fence and detail of each.
pub(crate) fn decode(answer: Vec<String>) -> Result<Leases, RegistryError> {
    let mut fields = answer.into_iter();
    let settled = fields.next().as_deref() == Some("1");
    let mut live = Vec::new();
    while let (Some(name), Some(fence), Some(detail)) =
        (fields.next(), fields.next(), fields.next())
    {
        let (Ok(known), Ok(fence)) = (NodeName::new(&name), fence.parse()) else {
            return Err(foreign(&name));
        };
        live.push(Lease {
            name: known,
            fence: Fence(fence),
            detail,
        });
    }
    live.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(Leases { live, settled })
}
