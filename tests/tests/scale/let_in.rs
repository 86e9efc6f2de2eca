//! The password, and the one of before while it changes.

use anyhow::Result;
use campanile_tests::manifests::Manifests;

use crate::pod::Pod;
use crate::world::{SHARD, STORE};

#[tokio::test]
async fn while_passwords_change_both_let_in() -> Result<()> {
    for set in [SHARD, STORE] {
        let mut pod = Pod::start(&*Manifests::overlay("own")?, set, 0).await?;
        assert_ne!(pod.redis(&["-a", "old", "PING"]).await?, "PONG");
        pod.set("REDIS_FORMER_PASSWORD", "old");
        // Which asks it, with the password of today.
        pod.start_again().await?;
        assert_eq!(pod.redis(&["-a", "old", "PING"]).await?, "PONG");
        assert_ne!(pod.redis(&["-a", "older", "PING"]).await?, "PONG");
        assert_ne!(pod.redis(&["-a", "", "PING"]).await?, "PONG");

        let gateway = ["--user", "campanile", "-a", "old-one", "INFO", "server"];
        assert!(!pod.redis(&gateway).await?.contains("redis_version"));
        pod.set("GATEWAY_FORMER_PASSWORD", "old-one");
        pod.start_again().await?;
        assert!(pod.redis(&gateway).await?.contains("redis_version"));
    }
    Ok(())
}
