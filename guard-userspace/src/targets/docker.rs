//! Following Docker: list, subscribe, and look again at each container that something happened to.

use super::container::Listed;
use super::resolve::is_container_id;
use super::roster::Roster;
use super::transport::{Budget, client};
use super::{Endpoint, Event, Wanted, answer};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary, EventMessage};
use bollard::query_parameters::{EventsOptions, ListContainersOptionsBuilder};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// What happens to containers that concerns the guard.
const ACTIONS: [&str; 5] = ["create", "start", "die", "rename", "destroy"];

/// How long and how much Docker may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Longest wait for one reply.
    pub reply: Duration,
    /// First wait after a loss; doubles with each that follows.
    pub first_retry: Duration,
    /// Longest wait between two tries.
    pub last_retry: Duration,
    /// A subscription that was answered and has lived so long since is believed.
    pub proof: Duration,
    /// The list is read again so often: a daemon that hangs is noticed, and what could be missed is
    /// not missed for longer.
    pub relist: Duration,
    /// Most bytes of one reply.
    pub reply_bytes: u64,
    /// Most bytes between two events. An event carries the container's labels.
    pub event_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            reply: Duration::from_secs(5),
            first_retry: Duration::from_millis(100),
            last_retry: Duration::from_secs(10),
            proof: Duration::from_secs(1),
            relist: Duration::from_secs(30),
            // A list of some ten thousand containers.
            reply_bytes: 32 << 20,
            event_bytes: 1 << 20,
        }
    }
}

/// Why a session with Docker ended.
enum End {
    /// Nobody listens to us.
    Unheard,
    /// Docker cannot be followed, in words.
    Lost(String),
}

/// Follows Docker until nobody listens.
pub async fn follow(
    wanted: Vec<Wanted>,
    endpoint: Endpoint,
    v2_mount: PathBuf,
    bounds: Bounds,
    events: mpsc::Sender<Event>,
) {
    let mut follower = Follower {
        roster: Roster::new(wanted),
        endpoint,
        v2_mount,
        bounds,
        events,
        lost_said: false,
    };
    let mut retry = bounds.first_retry;
    loop {
        let mut proved = false;
        let Err(End::Lost(why)) = follower.session(&mut proved).await else {
            return;
        };
        if proved {
            retry = bounds.first_retry;
        }
        if !follower.lost_said {
            follower.lost_said = true;
            let why = format!("{}: {why}", follower.endpoint);
            if follower
                .events
                .send(Event::DockerLost { why })
                .await
                .is_err()
            {
                return;
            }
        }
        tokio::select! {
            () = follower.events.closed() => return,
            () = tokio::time::sleep(retry) => {}
        }
        follower.roster.look_for_cgroups(Path::is_dir);
        let events = follower.roster.settle();
        if follower.say(events).await.is_err() {
            return;
        }
        retry = retry.saturating_mul(2).min(bounds.last_retry);
    }
}

struct Follower {
    roster: Roster,
    endpoint: Endpoint,
    v2_mount: PathBuf,
    bounds: Bounds,
    events: mpsc::Sender<Event>,
    lost_said: bool,
}

impl Follower {
    /// One subscription, from its beginning to its loss. `proved`: it was worth something.
    ///
    /// The subscription asks for what happened since before the list, so nothing falls between;
    /// what is told twice does no harm, since each event only makes us look.
    async fn session(&mut self, proved: &mut bool) -> Result<(), End> {
        let replies = Budget::new(self.bounds.reply_bytes);
        let calls = Calls {
            docker: self.client(&replies)?,
            replies,
            within: self.bounds.reply,
        };
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
            .saturating_sub(1);
        self.read_list(&calls).await?;

        let budget = Budget::new(self.bounds.event_bytes);
        let docker = self.client(&budget)?;
        let mut stream = Box::pin(docker.events(Some(subscription(since))));
        let mut relist =
            tokio::time::interval_at(Instant::now() + self.bounds.relist, self.bounds.relist);
        let (answered, lives) = (budget.clone(), self.bounds.proof);
        let mut proof = pin!(async move {
            answered.answered().await;
            tokio::time::sleep(lives).await;
        });
        let listener = self.events.clone();
        loop {
            tokio::select! {
                () = listener.closed() => return Err(End::Unheard),
                next = stream.next() => {
                    let Some(event) = next.transpose().map_err(|error| End::Lost(budget.explain(&error)))? else {
                        return Err(End::Lost("Docker closed the stream of events".to_owned()));
                    };
                    budget.refill();
                    self.happened(&calls, event).await?;
                }
                () = &mut proof, if !*proved => {
                    *proved = true;
                    if std::mem::take(&mut self.lost_said) {
                        self.say(vec![Event::DockerBack]).await?;
                    }
                }
                _ = relist.tick() => self.read_list(&calls).await?,
            }
        }
    }

    fn client(&self, budget: &Budget) -> Result<Docker, End> {
        client(&self.endpoint, budget, self.bounds.reply)
            .map_err(|error| End::Lost(error.to_string()))
    }

    async fn say(&self, events: Vec<Event>) -> Result<(), End> {
        for event in events {
            self.events.send(event).await.map_err(|_| End::Unheard)?;
        }
        Ok(())
    }

    async fn read_list(&mut self, calls: &Calls) -> Result<(), End> {
        let listed: Vec<Listed> = calls
            .list()
            .await?
            .into_iter()
            .filter_map(answer::listed)
            .collect();
        let running: Vec<String> = listed
            .iter()
            .filter(|one| one.running)
            .map(|one| one.container.id.clone())
            .collect();
        self.roster.list(listed);
        for id in running {
            if self.roster.is_target(&id) {
                self.look(calls, &id).await?;
            }
        }
        let events = self.roster.settle();
        self.say(events).await
    }

    async fn happened(&mut self, calls: &Calls, event: EventMessage) -> Result<(), End> {
        let Some((id, attributes)) = event
            .actor
            .and_then(|actor| Some((actor.id?, actor.attributes?)))
        else {
            return Ok(());
        };
        let action = event.action.unwrap_or_default();
        if !is_container_id(&id) {
            return Ok(());
        }
        match action.as_str() {
            // At once and without asking: a container's start follows, and while it starts Docker
            // answers no question about it. The event carries the labels among its attributes.
            "create" if !self.roster.knows(&id) => {
                self.roster.created(answer::from_attributes(id, attributes))
            }
            "start" | "die" if self.roster.knows(&id) && !self.roster.is_target(&id) => {
                return Ok(());
            }
            action if ACTIONS.contains(&action) => self.look(calls, &id).await?,
            _ => return Ok(()),
        }
        let events = self.roster.settle();
        self.say(events).await
    }

    /// Asks for one container and puts it into the roster.
    async fn look(&mut self, calls: &Calls, id: &str) -> Result<(), End> {
        match calls.inspect(id).await? {
            None => self.roster.remove(id),
            Some(reply) => self
                .roster
                .put(answer::inspected(id, reply, &self.v2_mount).map_err(End::Lost)?),
        }
        Ok(())
    }
}

/// The calls that are answered at once or not at all.
struct Calls {
    docker: Docker,
    replies: Budget,
    within: Duration,
}

impl Calls {
    async fn list(&self) -> Result<Vec<ContainerSummary>, End> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let reply = self.docker.list_containers(Some(options));
        self.answered("the list of containers", reply)
            .await?
            .map_err(|error| self.lost(&error))
    }

    /// `None`: there is no such container.
    async fn inspect(&self, id: &str) -> Result<Option<ContainerInspectResponse>, End> {
        let reply = self.docker.inspect_container(id, None);
        match self.answered("a container's state", reply).await? {
            Ok(reply) => Ok(Some(reply)),
            Err(Error::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(None),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Waits for a reply, but not for ever.
    async fn answered<T>(
        &self,
        what: &str,
        reply: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, End> {
        self.replies.refill();
        match timeout(self.within, reply).await {
            Ok(Err(Error::RequestTimeoutError)) | Err(_) => Err(End::Lost(format!(
                "Docker did not answer with {what} within {:?}",
                self.within
            ))),
            Ok(reply) => Ok(reply),
        }
    }

    fn lost(&self, error: &Error) -> End {
        End::Lost(self.replies.explain(error))
    }
}

fn subscription(since: u64) -> EventsOptions {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let filters = HashMap::from([
        ("type".to_owned(), names(&["container"])),
        ("event".to_owned(), names(&ACTIONS)),
    ]);
    EventsOptions {
        since: Some(since.to_string()),
        until: None,
        filters: Some(filters),
    }
}
