//! Which run of a server answers, and since when it is a primary.
//!
//! `run_id` names the process. A process that was a primary, became a replica and is a primary again has kept its
//! `run_id` but taken another's data over meanwhile, so what it acknowledged before may be gone: that, too, is another
//! incarnation. It shows in `master_replid2`, the replication id of the primary that it was promoted from, which is all
//! zeros for a server that never was a replica. (`master_replid` itself would not do: it also changes when the first
//! replica is attached.) A replica is nobody's shard, whatever it holds.

use ::redis::{Cmd, Value, cmd};

use super::reply;
use crate::topology::Incarnation;

/// Stands between the process and what it was promoted from.
const PROMOTED_FROM: char = ':';

/// The commands that ask.
pub(super) fn questions() -> [Cmd; 2] {
    ["server", "replication"].map(|section| {
        let mut info = cmd("INFO");
        info.arg(section);
        info
    })
}

/// The run that answered them, or why there is none that could be used.
pub(super) fn incarnation(answers: Vec<Value>) -> Result<Incarnation, String> {
    let texts = answers.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    parse(&texts.concat())
}

/// Whether `run` was a replica before.
pub(super) fn was_promoted(run: &Incarnation) -> bool {
    run.as_str().contains(PROMOTED_FROM)
}

/// The text that INFO answers.
pub(super) fn text(answer: Value) -> Result<String, String> {
    match answer {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Value::VerbatimString { text, .. } => Ok(text),
        Value::ServerError(error) => Err(reply::server_error(&error).to_string()),
        _ => Err("INFO was answered with something else".to_owned()),
    }
}

fn parse(info: &str) -> Result<Incarnation, String> {
    let field = |name: &str| {
        let mut values = info.lines().filter_map(|line| line.trim().split_once(':'));
        values.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    if field("role") == Some("slave") {
        return Err(
            "the server is a replica: it has to be promoted, or another address configured".to_owned(),
        );
    }
    let run = field("run_id").ok_or("INFO names no run_id")?;
    let promoted_from = field("master_replid2").filter(|id| id.bytes().any(|byte| byte != b'0'));
    Ok(Incarnation::new(&match promoted_from {
        Some(former) => format!("{run}{PROMOTED_FROM}{former}"),
        None => run.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: &str = "0000000000000000000000000000000000000000";

    fn info(role: &str, former: &str) -> String {
        format!(
            "# Server\r\nrun_id:abc\r\n# Replication\r\nrole:{role}\r\nmaster_replid:77\r\nmaster_replid2:{former}\r\n"
        )
    }

    #[test]
    fn a_server_that_never_was_a_replica_is_named_by_its_process() {
        let run = parse(&info("master", NEVER)).unwrap();
        assert_eq!(run, Incarnation::new("abc"));
        assert!(!was_promoted(&run));
        assert_eq!(parse("run_id:abc\n"), Ok(Incarnation::new("abc")));
    }

    #[test]
    fn each_promotion_makes_another_incarnation() {
        let run = parse(&info("master", "88")).unwrap();
        assert_eq!(run, Incarnation::new("abc:88"));
        assert!(was_promoted(&run));
    }

    #[test]
    fn a_replica_is_nobodys_shard() {
        assert!(parse(&info("slave", NEVER)).unwrap_err().contains("replica"));
        assert!(parse("role:master\n").is_err());
    }
}
