//! Whatever is refused, lost and sent again, the server still knows it: against a model of the fold, which
//! remembers the last 256 commands that it judged, and of what the gateway counts.

use proptest::prelude::*;

use super::*;

/// What the fold remembers of one device in one chat.
#[derive(Default)]
struct Fold {
    ring: VecDeque<u64>,
    judged: BTreeSet<u64>,
}

impl Fold {
    /// Judges a command, unless it knows it. What it has forgotten would be a second message.
    fn judge(&mut self, ticket: u64) {
        if self.ring.contains(&ticket) {
            return;
        }
        assert!(self.judged.insert(ticket), "{ticket} is judged twice");
        self.ring.push_back(ticket);
        if self.ring.len() > MAX_UNSETTLED {
            self.ring.pop_front();
        }
    }
}

#[test]
fn what_others_of_its_chat_are_settled_ahead_of_is_still_known_when_it_is_sent_again() {
    let (mut outbox, mut fold) = (outbox(1_000), Fold::default());
    // The first is accepted, and its entry does not come; all others are refused and settled at once.
    let mut all = written(&mut outbox, 0);
    while !all.is_empty() {
        for ticket in all {
            fold.judge(ticket);
            if ticket > 1 {
                outbox.settle(Ticket(ticket));
            }
        }
        all = written(&mut outbox, 0);
    }
    outbox.ask_again();
    assert_eq!(written(&mut outbox, 0), [1]);
    fold.judge(1);
}

#[test]
fn what_overtook_all_others_of_its_span_is_still_known_when_it_is_sent_again() {
    let (mut outbox, mut fold) = (outbox(1_000), Fold::default());
    let all = written(&mut outbox, 0);
    let (last, held_up) = all.split_last().unwrap();
    for ticket in held_up {
        let refusal = Refusal::plain(Code::RateLimited).retry_after_ms(100);
        outbox.refused_for_now(Moment(0), Ticket(*ticket), &refusal);
    }
    fold.judge(*last);
    // Long before anything is asked for again, all others are accepted: those held up, then newer ones.
    let mut now = Moment(0);
    while let Some(due) = outbox.due().filter(|due| due.0 < 900) {
        now = due;
        outbox.tick(due);
        let mut all = written(&mut outbox, now.0);
        while !all.is_empty() {
            for ticket in all {
                fold.judge(ticket);
                outbox.settle(Ticket(ticket));
            }
            all = written(&mut outbox, now.0);
        }
    }
    assert!(fold.judged.len() > all.len(), "newer ones followed");
    outbox.ask_again();
    assert_eq!(written(&mut outbox, now.0), [*last]);
    fold.judge(*last);
}

#[test]
fn what_is_sent_again_while_its_entries_come_leaves_the_gateway_room_for_what_follows() {
    let mut outbox = outbox(1_000);
    let first = written(&mut outbox, 0);
    outbox.ask_again();
    // The gateway has told their entries, so each counts anew there until its verdict comes.
    let again = written(&mut outbox, 0);
    assert_eq!(again, first);
    for ticket in first {
        outbox.settle(Ticket(ticket));
    }
    let next = written(&mut outbox, 0);
    assert!(!next.is_empty());
    assert!(again.len() + next.len() <= MAX_UNSETTLED);
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    /// So many commands that are on the socket come to the fold, or are refused for now.
    Serve(usize, bool),
    /// So many verdicts come, or are lost.
    Hear(usize, bool),
    /// `live` is said anew.
    Anew,
    Wait(u64),
    Break,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u64..200).prop_map(Step::Push),
        6 => (1usize..150, prop::bool::weighted(0.25)).prop_map(|(n, busy)| Step::Serve(n, busy)),
        6 => (1usize..150, prop::bool::weighted(0.1)).prop_map(|(n, lost)| Step::Hear(n, lost)),
        1 => Just(Step::Anew),
        4 => (0u64..2_000).prop_map(Step::Wait),
        1 => Just(Step::Break),
    ];
    prop::collection::vec(step, 1..120)
}

/// An outbox, the socket, the fold, and its verdicts on their way back.
struct World {
    outbox: Outbox,
    pushed: u64,
    now: Moment,
    socket: VecDeque<u64>,
    fold: Fold,
    verdicts: VecDeque<u64>,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Push(more) => {
                for n in self.pushed + 1..=self.pushed + more {
                    assert!(self.outbox.push(Ticket(n), send(n)));
                }
                self.pushed += more;
            }
            Step::Serve(most, busy) => self.serve(most, busy),
            Step::Hear(most, lost) => {
                for ticket in self.verdicts.drain(..most.min(self.verdicts.len())) {
                    if !lost {
                        self.outbox.settle(Ticket(ticket));
                    }
                }
            }
            Step::Anew => self.outbox.ask_again(),
            Step::Wait(ms) => self.now = self.now.after(ms),
            Step::Break => {
                self.outbox.lost();
                self.socket.clear();
                self.verdicts.clear();
                self.outbox.opened();
            }
        }
        self.outbox.tick(self.now);
        self.socket.extend(written(&mut self.outbox, self.now.0));
    }

    fn serve(&mut self, most: usize, busy: bool) {
        for ticket in self.socket.drain(..most.min(self.socket.len())) {
            if busy {
                let refusal = Refusal::plain(Code::Unavailable);
                self.outbox
                    .refused_for_now(self.now, Ticket(ticket), &refusal);
            } else {
                self.fold.judge(ticket);
                self.verdicts.push_back(ticket);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_is_judged_twice(steps in steps()) {
        let mut world = World {
            outbox: outbox(0),
            pushed: 0,
            now: Moment(0),
            socket: VecDeque::new(),
            fold: Fold::default(),
            verdicts: VecDeque::new(),
        };
        for step in steps {
            world.step(step);
        }
    }
}
