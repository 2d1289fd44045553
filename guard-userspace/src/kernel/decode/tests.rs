//! Each record there and back, and any bytes at all.

use super::*;
use bytemuck::bytes_of;
use guard_common::TargetCounters;
use proptest::prelude::*;

fn header(kind: u16) -> Header {
    Header {
        version: LAYOUT_VERSION,
        kind,
        slot: 7,
        boot_ns: 5_000_000_001,
    }
}

fn exec(flags: u32, args: &[u8]) -> Vec<u8> {
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"node");
    let process = Process {
        header: header(kind::PROCESS),
        start_ns: 1_239_999_999,
        place: 0,
        what: what::EXEC,
        pid: 4_711,
        parent: 1,
        flags,
        status: 0,
        args_len: u32::try_from(args.len()).unwrap(),
        comm,
    };
    [bytes_of(&process), args].concat()
}

#[test]
fn each_kind_of_record_is_read() {
    let counters = TargetCounters {
        live: 3,
        table_full: 9,
        ..TargetCounters::default()
    };
    let sample = RateSample {
        header: header(kind::RATE),
        second: 5,
        committed: 4,
        counters,
    };
    let read = event(bytes_of(&sample)).unwrap();
    assert_eq!((read.slot, read.boot_ns), (7, 5_000_000_001));
    let expected = InputKind::Rate {
        second: 5,
        committed: 4,
        counters,
    };
    assert_eq!(read.kind, EventKind::Input(expected));

    let armed = Cgroup {
        header: header(kind::CGROUP),
        id: 99,
        what: cgroup::ARMED,
        reserved: 0,
    };
    let expected = EventKind::Cgroup(CgroupId(99), CgroupChange::Armed);
    assert_eq!(event(bytes_of(&armed)).unwrap().kind, expected);

    let near = event(bytes_of(&header(kind::NEAR))).unwrap();
    assert_eq!((near.slot, near.kind), (7, EventKind::Near));

    let read = event(&exec(0, b"node\0x.js\0--token\0hunter2\0")).unwrap();
    let process = ProcessKey {
        pid: 4_711,
        start_ticks: 123,
    };
    let argv = ["node", "x.js", "--token", "***"]
        .map(str::to_owned)
        .to_vec();
    let expected = InputKind::Execed { process, argv };
    assert_eq!(read.kind, EventKind::Input(expected));
}

#[test]
fn what_cannot_be_read_is_named() {
    let check = |record: &[u8], expected: DecodeError| {
        assert_eq!(event(record), Err(expected));
    };
    check(b"", DecodeError::Short(0));
    let whole = exec(0, b"node\0");
    check(&whole[..whole.len() - 1], DecodeError::Short(4));
    check(&whole[..40], DecodeError::Short(40));
    let with = |at: usize, byte: u8| {
        let mut other = whole.clone();
        other[at] = byte;
        other
    };
    check(&with(0, 77), DecodeError::Version(77));
    check(&with(2, 77), DecodeError::Kind(77));
    let of = "event of a process";
    check(&with(32, 66), DecodeError::Value { of, value: 66 });
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..900)) {
        let _ = event(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_good_header_are_too(
        kind in 0u16..7, rest in prop::collection::vec(any::<u8>(), 0..900),
    ) {
        let _ = event(&[bytes_of(&header(kind)), &rest].concat());
    }
}
