//! Shrinking: from a run that fails to the little of it that matters.
//!
//! Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002) over
//! the actions of the plan and the choices that were not harmless. Any failure counts: a smaller run
//! that fails in another way is as good a place to begin.

use std::collections::BTreeMap;

use infra_ports::memory::runtime::{ChoiceKey, Choices, Kind};

use super::{Action, Failure, Keep, Outcome, Plan, run};

/// Runs that shrinking may take.
const RUNS: u32 = 600;

/// A failing run with everything taken away that it fails without.
#[derive(Debug)]
pub struct Shrunk {
    /// The plan that is left.
    pub plan: Plan,
    /// The choices that are left.
    pub choices: BTreeMap<ChoiceKey, u32>,
    /// Runs that it took.
    pub runs: u32,
    /// What becomes of it, told line by line.
    pub outcome: Outcome,
}

impl std::fmt::Display for Shrunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (actions, choices) = (self.plan.actions.len(), self.choices.len());
        writeln!(f, "shrunk to {actions} actions and {choices} choices:")?;
        for action in &self.plan.actions {
            writeln!(f, "  {action}")?;
        }
        for (key, value) in &self.choices {
            let ChoiceKey {
                kind,
                site,
                node,
                nth,
            } = key;
            writeln!(f, "  {kind:?} {site} on {node:?}, number {nth}: {value}")?;
        }
        for line in &self.outcome.told {
            writeln!(f, "    {line}")?;
        }
        match &self.outcome.failure {
            Some(failure) => write!(f, "  {failure}"),
            None => write!(f, "  does not fail again"),
        }
    }
}

/// Shrinks a run that fails; `run` must be the one it failed under.
#[must_use]
pub fn shrink(plan: &Plan, made: BTreeMap<ChoiceKey, u32>) -> Shrunk {
    shrink_with(plan, made, &|plan, choices, keep| run(plan, choices, keep))
}

pub(super) type Runner<'a> = &'a dyn Fn(&Plan, Choices, Keep) -> Outcome;

pub(super) fn shrink_with(
    plan: &Plan,
    made: BTreeMap<ChoiceKey, u32>,
    runner: Runner<'_>,
) -> Shrunk {
    let mut search = Search {
        plan: plan.clone(),
        choices: made,
        runs: 0,
        runner,
    };
    search.without_kinds();
    search.fewer_actions();
    search.fewer_choices();
    search.fewer_actions();
    let Search {
        plan,
        choices,
        runs,
        ..
    } = search;
    let keep = Keep {
        told: true,
        asked: false,
    };
    let again = Choices::replayed(plan.seed, choices.clone());
    let outcome = runner(&plan, again, keep);
    Shrunk {
        plan,
        choices,
        runs,
        outcome,
    }
}

struct Search<'a> {
    plan: Plan,
    choices: BTreeMap<ChoiceKey, u32>,
    runs: u32,
    runner: Runner<'a>,
}

impl Search<'_> {
    fn fails(&mut self, actions: &[Action], choices: &BTreeMap<ChoiceKey, u32>) -> bool {
        if self.runs >= RUNS {
            return false;
        }
        self.runs += 1;
        let plan = Plan {
            actions: actions.to_vec(),
            ..self.plan.clone()
        };
        let choices = Choices::replayed(plan.seed, choices.clone());
        let failure = (self.runner)(&plan, choices, Keep::default()).failure;
        failure.is_some_and(|failure| failure != Failure::StepsUsedUp)
    }

    /// Whole kinds at once: mostly it is not the order of tasks.
    fn without_kinds(&mut self) {
        for kind in [
            Kind::Order,
            Kind::Yield,
            Kind::Delay,
            Kind::Effect,
            Kind::Crash,
        ] {
            let mut fewer = self.choices.clone();
            fewer.retain(|key, _| key.kind != kind);
            let actions = self.plan.actions.clone();
            if fewer.len() < self.choices.len() && self.fails(&actions, &fewer) {
                self.choices = fewer;
            }
        }
    }

    fn fewer_actions(&mut self) {
        let choices = self.choices.clone();
        let actions = self.plan.actions.clone();
        self.plan.actions = fewest(actions, |some| self.fails(some, &choices));
    }

    fn fewer_choices(&mut self) {
        let actions = self.plan.actions.clone();
        let choices: Vec<_> = self.choices.iter().map(|(key, v)| (*key, *v)).collect();
        let left = fewest(choices, |some| {
            self.fails(&actions, &some.iter().copied().collect())
        });
        self.choices = left.into_iter().collect();
    }
}

/// A part of the items that still fails, from which no single one can be left out; `fails` holds
/// for all of them.
fn fewest<T: Clone>(mut items: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut size = items.len();
    while size > 0 {
        let mut begin = 0;
        while begin < items.len() {
            let end = (begin + size).min(items.len());
            let (before, rest) = items.split_at(begin);
            let without: Vec<T> = [before, rest.split_at(end - begin).1].concat();
            if fails(&without) {
                items = without;
            } else {
                begin = end;
            }
        }
        size /= 2;
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_left_and_nothing_else() {
        let needs = |some: &[u32]| some.contains(&17) && some.contains(&83);
        assert_eq!(fewest((0..175).collect(), needs), [17, 83]);
        assert_eq!(fewest((0..9).collect(), |_: &[u32]| true), [0_u32; 0]);
    }
}
