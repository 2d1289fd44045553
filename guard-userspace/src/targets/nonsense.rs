//! Tests of following a daemon that is absent, slow or talks nonsense: the real client, against a
//! Unix socket whose other end is scripted.

mod daemon;

use super::docker::Bounds;
use super::{Endpoint, Event, Wanted, Watch};
use crate::config::TargetSource;
use daemon::{Answer, Daemon, ID, Script, list};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// No container of these tests runs, so nothing is looked up below it.
const MOUNT: &str = "/sys/fs/cgroup";

/// A reply may be late: the machine is busy with other tests.
const BOUNDS: Bounds = Bounds {
    reply: Duration::from_secs(10),
    first_retry: Duration::from_millis(5),
    last_retry: Duration::from_millis(40),
    proof: Duration::from_millis(150),
    relist: Duration::from_millis(500),
    reply_bytes: 64 << 10,
    event_bytes: 32 << 10,
};

/// Nonsense may take a while to be read, and must not pass for a subscription that lives.
const NONSENSE: Bounds = Bounds {
    proof: Duration::from_secs(2),
    ..BOUNDS
};

/// Silence is noticed later than a subscription is believed, as by default.
const SILENCE: Bounds = Bounds {
    reply: Duration::from_secs(2),
    ..BOUNDS
};

fn watch(socket: &Path, bounds: Bounds) -> mpsc::Receiver<Event> {
    let source = TargetSource::Container("gw".to_owned());
    let name = "gw".to_owned();
    let wanted = vec![Wanted { name, source }];
    Watch::spawn_with(wanted, Endpoint::Unix(socket.into()), MOUNT.into(), bounds)
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    timeout(Duration::from_secs(30), events.recv())
        .await
        .expect("no event in 30 s")
        .expect("the watch ended")
}

/// Connections that a daemon must see after its loss was said, before it may talk sense again.
const TRIES: u32 = 3;

/// That Docker is lost with these words, once, through many tries; and back when it talks sense.
async fn lost_once_and_back(bounds: Bounds, script: Script, words: &str) {
    let daemon = Daemon::start(script);
    let mut events = watch(&daemon.path, bounds);
    let why = loop {
        match next(&mut events).await {
            Event::DockerLost { why } => break why,
            Event::Expected { .. } => {}
            other => panic!("{words}: {other:?}"),
        }
    };
    assert!(why.contains(words), "{words}: {why}");
    assert!(why.len() < 500, "a line, not a page: {why}");
    let enough = daemon.connections() + TRIES;
    while daemon.connections() < enough {
        match timeout(Duration::from_millis(20), events.recv()).await {
            Ok(Some(Event::Expected { .. })) | Err(_) => {}
            Ok(other) => panic!("{words}: {other:?}"),
        }
    }
    daemon.now(Script::sound());
    loop {
        match next(&mut events).await {
            Event::DockerBack => break,
            Event::Expected { .. } => {}
            other => panic!("{words}: {other:?}"),
        }
    }
}

fn list_is(list: Answer) -> Script {
    Script {
        list,
        ..Script::sound()
    }
}

fn inspect_is(inspect: Answer) -> Script {
    Script {
        list: says(200, &list("gw").replace("exited", "running")),
        inspect,
        ..Script::sound()
    }
}

fn events_are(events: Answer) -> Script {
    Script {
        events,
        ..Script::sound()
    }
}

fn says(status: u16, body: &str) -> Answer {
    Answer::Says(status, body.to_owned())
}

#[tokio::test]
async fn nonsense_is_said_once_and_tried_again() {
    let check = |script, words| lost_once_and_back(NONSENSE, script, words);
    tokio::join!(
        check(list_is(says(200, "this is not JSON")), "line 1 column"),
        check(
            list_is(says(200, r#"{"an":"object"}"#)),
            "Failed to deserialize"
        ),
        check(
            list_is(says(500, r#"{"message":"out of cheese"}"#)),
            "500: out of cheese"
        ),
        check(list_is(says(500, &"x\n".repeat(5000))), "500"),
        check(list_is(says(302, "")), "302"),
        check(list_is(Answer::Drops), "end of file before message length"),
        check(
            list_is(Answer::Raw("SSH-2.0-OpenSSH_9.2\r\n\r\n")),
            "invalid HTTP version"
        ),
        check(list_is(Answer::Raw("")), "before message completed"),
        check(list_is(Answer::Endless("[{\"Id\":\"")), "more than 64 KiB"),
        check(
            inspect_is(says(200, r#"{"Id":"other"}"#)),
            "asked about container 51d4"
        ),
        check(inspect_is(says(200, "null")), "deserialize"),
        check(
            events_are(Answer::Endless("{\"Action\":\"")),
            "more than 32 KiB"
        ),
        check(
            events_are(Answer::Raw("HTTP/1.1 200 OK\r\n\r\n")),
            "closed the stream of events"
        ),
        check(
            events_are(Answer::Streams("{]}\n".to_owned())),
            "line 1 column"
        ),
        check(
            events_are(Answer::Streams("{\"Actor\":7}\n".to_owned())),
            "deserialize"
        ),
    );
}

#[tokio::test]
async fn silence_is_said_once_and_tried_again() {
    let check = |script, words| lost_once_and_back(SILENCE, script, words);
    tokio::join!(
        check(
            list_is(Answer::Silent),
            "did not answer with the list of containers within 2s"
        ),
        check(
            inspect_is(Answer::Silent),
            "did not answer with a container's state"
        ),
        check(events_are(Answer::Silent), "Timeout"),
    );
}

#[tokio::test]
async fn events_about_nothing_are_passed_over() {
    let events = "{}\n{\"Action\":\"start\"}\n{\"Action\":\"start\",\"Actor\":{\"ID\":\"../../x\",\"Attributes\":{}}}\n\
                  {\"Action\":\"tea\",\"Actor\":{\"ID\":\"ID\",\"Attributes\":{}}}\n"
        .replace("\"ID\",", &format!("{ID:?},"));
    let daemon = Daemon::start(Script {
        events: Answer::Streams(events),
        ..Script::sound()
    });
    let mut said = watch(&daemon.path, BOUNDS);
    assert!(matches!(next(&mut said).await, Event::Expected { container, .. } if container == ID));
    // Two more readings of the list, and not a word.
    assert!(
        timeout(Duration::from_millis(1200), said.recv())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_absent_daemon_is_waited_for_and_its_loss_leaves_what_was_known() {
    let path = std::env::temp_dir().join(format!("guard-dockerd-{}-absent", std::process::id()));
    let mut said = watch(&path, BOUNDS);
    let Event::DockerLost { why } = next(&mut said).await else {
        panic!("not lost")
    };
    assert!(
        why.contains("guard-dockerd-") && why.contains("No such file"),
        "{why}"
    );
    sleep(Duration::from_millis(200)).await;
    let daemon = Daemon::start_at(path.clone(), Script::sound());
    assert!(matches!(next(&mut said).await, Event::Expected { .. }));
    assert_eq!(next(&mut said).await, Event::DockerBack);
    drop(daemon);
    assert!(matches!(next(&mut said).await, Event::DockerLost { .. }));
    let daemon = Daemon::start_at(
        path,
        Script {
            list: Answer::Says(200, "[]".into()),
            ..Script::sound()
        },
    );
    let Event::Gone { why, .. } = next(&mut said).await else {
        panic!("still there")
    };
    assert!(why.contains("removed"), "{why}");
    assert!(matches!(next(&mut said).await, Event::Waiting { .. }));
    assert_eq!(next(&mut said).await, Event::DockerBack);
    drop(daemon);
}

/// `docker run` starts a container while Docker answers no question about it: what is expected is
/// known from the event alone.
#[tokio::test]
async fn a_created_container_is_expected_without_asking() {
    let event = format!(
        r#"{{"Type":"container","Action":"create","Actor":{{"ID":"{ID}","Attributes":{{"name":"gw","image":"i"}}}}}}"#
    ) + "\n";
    let daemon = Daemon::start(Script {
        list: Answer::Says(200, "[]".into()),
        inspect: Answer::Silent,
        events: Answer::Streams(event),
    });
    let mut said = watch(&daemon.path, BOUNDS);
    assert!(matches!(next(&mut said).await, Event::Waiting { .. }));
    assert!(matches!(next(&mut said).await, Event::Expected { container, .. } if container == ID));
}

/// Docker says that our own test process is the container's init.
#[tokio::test]
async fn a_pid_that_is_no_process_of_the_container_is_refused() {
    let pid = std::process::id();
    let daemon = Daemon::start(Script {
        list: Answer::Says(200, list("gw").replace("exited", "running")),
        inspect: Answer::Says(
            200,
            format!(r#"{{"Id":"{ID}","Name":"/gw","State":{{"Running":true,"Pid":{pid}}}}}"#),
        ),
        ..Script::sound()
    });
    let mut said = watch(&daemon.path, BOUNDS);
    let Event::Refused { why, .. } = next(&mut said).await else {
        panic!("not refused")
    };
    assert!(why.contains("cgroup"), "{why}");
}

#[tokio::test]
async fn who_is_not_heard_ends() {
    let daemon = Daemon::start(Script::sound());
    let said = watch(&daemon.path, BOUNDS);
    sleep(Duration::from_millis(100)).await;
    drop(said);
    // Who still asks does so at least every `relist`.
    let stretch = BOUNDS.relist * 2 + Duration::from_millis(200);
    for _ in 0..10 {
        let before = daemon.connections();
        sleep(stretch).await;
        if daemon.connections() == before {
            return;
        }
    }
    panic!("still asking");
}
