//! A client that speaks MCP over streamable HTTP and goes away without ending its session.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::gateway::asker;

/// A session that nobody ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What the gateway calls it.
    pub id: String,
    /// So many tools it has.
    pub tools: usize,
}

/// How a session went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It got its tools.
    Served(Session),
    /// It got an error, after so long.
    Failed(String, Duration),
    /// It got nothing in all the time it waited.
    Hung(Duration),
}

impl Outcome {
    /// The session, where it got its tools.
    #[must_use]
    pub fn served(&self) -> Option<&Session> {
        match self {
            Self::Served(session) => Some(session),
            Self::Failed(..) | Self::Hung(_) => None,
        }
    }
}

/// Opens a session, lists its tools, and drops the connection with the session open.
#[must_use]
pub fn leak(mcp: &str, patience: Duration) -> Outcome {
    let start = Instant::now();
    match session(mcp, patience) {
        Ok(session) => Outcome::Served(session),
        Err(_) if start.elapsed() >= patience => Outcome::Hung(start.elapsed()),
        Err(error) => Outcome::Failed(format!("{error:#}"), start.elapsed()),
    }
}

/// Whether a session still lists as many tools as it had.
#[must_use]
pub fn answers_again(mcp: &str, session: &Session, patience: Duration) -> bool {
    let mut id = Some(session.id.clone());
    list(&asker(patience), mcp, &mut id).is_ok_and(|tools| tools == session.tools)
}

fn session(mcp: &str, patience: Duration) -> Result<Session> {
    let agent = asker(patience);
    let mut id = None;
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "guard-suite", "version": "1"}}});
    ask(&agent, mcp, &mut id, &hello).context("initialize")?;
    ensure!(id.is_some(), "no session id");
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    ask(&agent, mcp, &mut id, &ready).context("initialized")?;
    let tools = list(&agent, mcp, &mut id).context("tools/list")?;
    let id = id.context("no session id")?;
    Ok(Session { id, tools })
}

fn list(agent: &ureq::Agent, mcp: &str, session: &mut Option<String>) -> Result<usize> {
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let answer = ask(agent, mcp, session, &list)?;
    let tools = answer
        .pointer("/result/tools")
        .and_then(Value::as_array)
        .with_context(|| format!("no tools in {answer}"))?;
    Ok(tools.len())
}

/// Sends one message; gives the answer to it, or null for a notification.
fn ask(
    agent: &ureq::Agent,
    mcp: &str,
    session: &mut Option<String>,
    message: &Value,
) -> Result<Value> {
    let mut request = agent
        .post(mcp)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if let Some(id) = session {
        request = request.header("mcp-session-id", id.as_str());
    }
    let mut reply = request.send(message.to_string())?;
    if let Some(id) = reply.headers().get("mcp-session-id") {
        *session = Some(id.to_str().context("a session id")?.to_owned());
    }
    let status = reply.status();
    let text = reply.body_mut().read_to_string()?;
    ensure!(
        status.is_success(),
        "status {}: {}",
        status.as_u16(),
        short(&text)
    );
    let Some(id) = message.get("id") else {
        return Ok(Value::Null);
    };
    let answer =
        answer_to(id, &text).with_context(|| format!("no answer in {:?}", short(&text)))?;
    match answer.get("error") {
        Some(error) => Err(anyhow!("{}", short(&error.to_string()))),
        None => Ok(answer),
    }
}

/// The answer to message `id` in a reply: either one object, or server-sent events.
fn answer_to(id: &Value, text: &str) -> Option<Value> {
    let parse = |line: &str| serde_json::from_str::<Value>(line).ok();
    let events = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter_map(parse);
    parse(text)
        .into_iter()
        .chain(events)
        .find(|value| value.get("id") == Some(id))
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_in_either_form() {
        let check = |text: &str, expected: bool| {
            assert_eq!(answer_to(&json!(2), text).is_some(), expected, "{text}");
        };
        check(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, true);
        check("event: message\ndata: {\"id\":2,\"result\":{}}\n\n", true);
        check(
            "data: {\"method\":\"notifications/message\"}\n\ndata: {\"id\":2}\n\n",
            true,
        );
        check(r#"{"id":1}"#, false);
        check("ok", false);
        check("", false);
    }
}
