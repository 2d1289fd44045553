//! What the canary's word means on each rung.

use super::*;

const EAGAIN: i32 = 11;
const EPERM: i32 = 1;

fn ladder(rung: GateMode, refusal: Option<Refusal>) -> Ladder {
    let wanted = Wanted {
        lsm: true,
        fmod_ret: false,
        deny: None,
    };
    Ladder {
        refusal,
        ..Ladder::at(rung, wanted)
    }
}

#[test]
fn only_a_spawn_that_failed_as_the_rung_says_proves_it() {
    let lsm = ladder(GateMode::Lsm, None);
    let again = ladder(GateMode::Deny, Some(Refusal::Eagain));
    let perm = ladder(GateMode::Deny, Some(Refusal::Eperm));
    let modified = ladder(GateMode::FmodRet, None);
    let kill = ladder(GateMode::Kill, Some(Refusal::Eperm));
    let proved = |ladder: &Ladder, seen| match ladder.judge(&seen) {
        Proof::Stays { proved, .. } => Some(proved),
        Proof::Again | Proof::Next | Proof::NotYet => None,
    };
    let untried = || Seen::Untried("no cgroup".to_owned());
    for (ladder, seen, expected) in [
        (&lsm, Seen::Refused(EAGAIN), Some(true)),
        (&lsm, Seen::Refused(EPERM), None),
        (&lsm, Seen::Killed, None),
        (&lsm, Seen::Ran, None),
        (&lsm, untried(), Some(false)),
        (&modified, Seen::Refused(EAGAIN), Some(true)),
        (&modified, Seen::Ran, None),
        (&again, Seen::Refused(EAGAIN), Some(true)),
        (&again, Seen::Refused(EPERM), None),
        (&again, Seen::Killed, None),
        (&again, untried(), Some(false)),
        (&perm, Seen::Refused(EPERM), Some(true)),
        (&perm, Seen::Refused(EAGAIN), None),
        (&kill, Seen::Killed, Some(true)),
        (&kill, Seen::Refused(EAGAIN), Some(false)),
        (&kill, Seen::Ran, Some(false)),
        (&kill, untried(), Some(false)),
    ] {
        assert_eq!(
            proved(ladder, seen.clone()),
            expected,
            "{ladder:?} {seen:?}"
        );
    }
}

#[test]
fn what_held_before_is_tried_once_more() {
    let mut deny = ladder(GateMode::Deny, Some(Refusal::Eagain));
    for (seen, expected) in [
        (Seen::Killed, Proof::Next),
        (Seen::Refused(EAGAIN), deny.judge(&Seen::Refused(EAGAIN))),
        (Seen::Killed, Proof::Again),
        (Seen::Refused(EAGAIN), deny.judge(&Seen::Refused(EAGAIN))),
        (Seen::Killed, Proof::Again),
        (Seen::Killed, Proof::Next),
    ] {
        assert_eq!(deny.weigh(&seen), expected, "{seen:?}");
    }
}

#[test]
fn it_says_why_there_is_no_better_rung() {
    let mut kill = ladder(GateMode::Lsm, None);
    kill.down("the kernel said no", None);
    assert_eq!((kill.rung(), kill.errno()), (GateMode::Kill, None));
    let Proof::Stays { why, .. } = kill.judge(&Seen::Killed) else {
        panic!("it stays");
    };
    let said = "(not lsm: the kernel said no; not fmod_ret: no target has it in its modes; not \
                deny: no target has it in its modes)";
    assert!(why.ends_with(said), "{why}");
}

/// The canary's words in turn, and what stands after each.
#[test]
fn a_rung_that_held_is_tried_again() {
    let mut ladder = ladder(GateMode::Lsm, None);
    assert!(matches!(
        ladder.weigh(&Seen::Refused(EAGAIN)),
        Proof::Stays { proved: true, .. }
    ));
    ladder.down("it fell silent", None);
    assert_eq!(ladder.rung(), GateMode::Kill);
    assert_eq!(ladder.fallen.due(), None, "the next one has its turn first");
    assert_eq!(ladder.fallen.due(), Some(GateMode::Lsm));
    ladder.trying = Some(GateMode::Lsm);
    // While it is tried, its own word counts.
    assert_eq!(ladder.judge(&Seen::Killed), Proof::Next);
    assert_eq!(
        (ladder.tried(), ladder.rung()),
        (GateMode::Lsm, GateMode::Kill)
    );
    ladder.up(GateMode::Lsm);
    let said = ladder.weigh(&Seen::Refused(EAGAIN));
    let why = "the canary's fork failed with EAGAIN".to_owned();
    assert_eq!(said, Proof::Stays { proved: true, why });
    assert_eq!(ladder.rung(), GateMode::Lsm);
    assert_eq!(ladder.fallen.due(), None);
}

#[test]
fn a_rung_that_never_held_is_not() {
    let mut ladder = ladder(GateMode::Lsm, None);
    assert_eq!(ladder.weigh(&Seen::Ran), Proof::Next);
    ladder.down("it was never asked", None);
    for _ in 0..100 {
        assert_eq!(ladder.fallen.due(), None);
    }
}
