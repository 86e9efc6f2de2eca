use tokio::net::TcpListener;

use super::*;

fn acceptor() -> Acceptor {
    Acceptor::new(&Certificates::generated().unwrap(), Handshakes::register()).unwrap()
}

/// The two ends of a connection: the peer's, and that to accept.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (peer.unwrap(), accepted.unwrap().0)
}

async fn outcome(acceptor: &Acceptor, stream: TcpStream) -> Outcome {
    match acceptor.attempt(stream).await {
        Ok(_) => Outcome::Completed,
        Err(outcome) => outcome,
    }
}

// The clock of these tests stands still while something is done, and leaps to the next timer when nothing can be.

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up() {
    let (mut peer, stream) = pair().await;
    let begin = Instant::now();
    assert_eq!(outcome(&acceptor(), stream).await, Outcome::TimedOut);
    assert!(begin.elapsed() >= HANDSHAKE_TIMEOUT);
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_in_the_midst_is_given_up() {
    let (mut peer, stream) = pair().await;
    // The header of a handshake's record, and not what it announces.
    peer.write_all(&[0x16, 3, 1, 1, 0]).await.unwrap();
    assert_eq!(outcome(&acceptor(), stream).await, Outcome::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_peer_waits_for_its_turn_only_so_long() {
    let acceptor = acceptor();
    let all = u32::try_from(MAX_HANDSHAKES).unwrap();
    let others = acceptor.places.clone().acquire_many_owned(all).await.unwrap();
    let (mut peer, stream) = pair().await;
    peer.write_all(&[0x16, 3, 1, 1, 0]).await.unwrap();
    // While no timer runs the paused time stands still; once one does, it would leap over what is on its way.
    stream.readable().await.unwrap();
    assert_eq!(outcome(&acceptor, stream).await, Outcome::Busy);
    drop(others);
    assert_eq!(acceptor.places.available_permits(), MAX_HANDSHAKES);
}

#[tokio::test]
async fn nonsense_fails_and_frees_its_place() {
    let acceptor = acceptor();
    let (mut peer, stream) = pair().await;
    peer.write_all(b"\x16nonsense").await.unwrap();
    assert_eq!(outcome(&acceptor, stream).await, Outcome::Failed);
    assert_eq!(acceptor.places.available_permits(), MAX_HANDSHAKES);
}

#[tokio::test]
async fn a_peer_that_leaves_at_once_is_no_failure() {
    let (peer, stream) = pair().await;
    drop(peer);
    assert_eq!(outcome(&acceptor(), stream).await, Outcome::Gone);
}

#[tokio::test]
async fn plain_http_is_told_what_to_write() {
    let (mut peer, stream) = pair().await;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let acceptor = acceptor();
    let asked = async {
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        drop(peer);
        answer
    };
    let (outcome, answer) = tokio::join!(outcome(&acceptor, stream), asked);
    assert_eq!(outcome, Outcome::Plain);
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with(EXPLANATION),
        "{answer}"
    );
}
