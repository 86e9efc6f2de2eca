//! Who is let in.

use super::*;
use crate::run::Stamp;

async fn door() -> (Door, String) {
    let door = Door::open("127.0.0.1:0").await.unwrap();
    let address = door.address.to_string();
    (door, address)
}

#[tokio::test]
async fn only_who_knows_the_word_and_speaks_the_same_gets_in() {
    let (door, address) = door().await;
    let greet = async |line: String| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, line.as_bytes())
            .await
            .unwrap();
        stream
    };
    let join = |version: u32, token: &str| {
        format!(
            "{}\n",
            serde_json::to_string(&FromWorker::Join {
                version,
                token: token.to_owned()
            })
            .unwrap()
        )
    };
    let strangers = [
        join(VERSION, "guessed"),
        join(VERSION + 1, &door.token),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "x".repeat(5_000),
        "\n".to_owned(),
    ];
    let mut streams = Vec::new();
    for stranger in strangers {
        streams.push(greet(stranger).await);
    }
    let friend = greet(join(VERSION, &door.token)).await;
    // Whoever comes is heard in turn: the first that gets in is the last that came.
    let entered = door.next(&mut Progress::silent()).await.unwrap();
    assert_eq!(entered.peer_addr().unwrap(), friend.local_addr().unwrap());
    let mut refused = BufReader::new(&mut streams[0]);
    let answer: Option<ToWorker> = wire::read(&mut refused, 1 << 10).await.unwrap();
    assert!(matches!(answer, Some(ToWorker::Refused { .. })), "{answer:?}");
}

#[tokio::test]
async fn the_clock_of_a_worker_is_known() {
    let (link, mut port) = crate::run::pair();
    let slow: i64 = 3_600_000_000_000;
    let worker = async {
        while let Some(ToWorker::Time) = link.hear().await {
            let now: Stamp = Clock::new().ahead_by(-slow).now();
            link.say(FromWorker::Time { now }).await.unwrap();
        }
    };
    let ahead = tokio::select! {
        () = worker => panic!("the controller went away"),
        offset = clock_offset(&mut port) => offset.unwrap().ahead,
    };
    // A thousandth of the difference: what this machine takes for nine questions is far less.
    assert!((ahead - slow).abs() < slow / 1_000, "{ahead}");
}

#[test]
fn clocks_drift_either_way() {
    let offset = |ahead| Offset {
        ahead,
        exact_to: Duration::ZERO,
    };
    assert_eq!(offset(-3).drift_since(offset(4)), Duration::from_nanos(7));
    assert_eq!(offset(4).drift_since(offset(-3)), Duration::from_nanos(7));
}
