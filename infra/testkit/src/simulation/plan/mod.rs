//! The plan of a run: the shape of its world, and what people do and what befalls them, when.
//!
//! Made of the seed alone, before anything runs. Every action has a number and names of its own, so
//! that leaving one out changes no other: that is what lets a failing run be shrunk.

mod events;
mod people;
mod shape;

pub use events::Event;
pub use people::Act;
pub use shape::{Composition, Shape};

use std::time::Duration;

use super::dice::Dice;

/// What is done.
#[derive(Debug, Clone)]
pub enum Deed {
    /// A person does something on a device, by the device's number.
    Person(usize, Act),
    /// Something happens to the world.
    World(Event),
    /// Trouble ends, everything comes to rest and is checked; then it goes on.
    Rest,
}

/// One thing of a plan.
#[derive(Debug, Clone)]
pub struct Action {
    /// Its number in the plan.
    pub number: usize,
    /// When.
    pub at: Duration,
    /// What.
    pub deed: Deed,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9.3?}  #{} {:?}", self.at, self.number, self.deed)
    }
}

/// A world and what happens in it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of everything.
    pub seed: u64,
    /// The world.
    pub shape: Shape,
    /// What happens, by time.
    pub actions: Vec<Action>,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let shape = Shape::of(&mut dice);
        let actions = actions(&mut dice, &shape);
        Self {
            seed,
            shape,
            actions,
        }
    }

    /// A plan in which nothing goes wrong, and nothing happens yet.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        Self {
            seed,
            shape: Shape::calm(),
            actions: Vec::new(),
        }
    }

    /// Adds something at a moment in milliseconds, and returns its number.
    pub fn then(&mut self, at_ms: u64, deed: Deed) -> usize {
        let number = self.actions.len();
        let at = Duration::from_millis(at_ms);
        self.actions.push(Action { number, at, deed });
        number
    }
}

fn actions(dice: &mut Dice, shape: &Shape) -> Vec<Action> {
    let count = usize::try_from(dice.between(20, 70)).unwrap_or(20);
    // Between bursts and long pauses.
    let pause_ms = *dice.pick(&[20, 200, 1_500]).unwrap_or(&200);
    let rest_at = dice.once_in(3).then_some(count / 2);
    let mut people = people::People::new(shape);
    let mut events = events::Events::new(dice, shape);
    let (mut made, mut at_ms) = (Vec::new(), 200);
    for number in 0..count {
        at_ms += dice.below(pause_ms);
        let deed = if Some(number) == rest_at {
            Deed::Rest
        } else if let Some(event) = events.draw(dice) {
            Deed::World(event)
        } else {
            let (device, act) = people.draw(dice, number);
            Deed::Person(device, act)
        };
        let at = Duration::from_millis(at_ms);
        made.push(Action { number, at, deed });
    }
    made
}
