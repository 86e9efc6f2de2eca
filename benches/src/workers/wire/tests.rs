//! Garbage on the wire.

use proptest::prelude::*;

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// What is read from these bytes, until the end or the first error.
fn messages(bytes: &[u8], longest: usize) -> (Vec<FromWorker>, bool) {
    runtime().block_on(async {
        let mut reader = BufReader::new(bytes);
        let mut found = Vec::new();
        loop {
            match read(&mut reader, longest).await {
                Ok(Some(message)) => found.push(message),
                Ok(None) => return (found, true),
                Err(_) => return (found, false),
            }
        }
    })
}

fn arrived(at: &str) -> FromWorker {
    FromWorker::Arrived { at: at.to_owned() }
}

proptest! {
    #[test]
    fn garbage_is_refused_and_nothing_else_happens(bytes: Vec<u8>) {
        let (found, _) = messages(&bytes, 1 << 20);
        prop_assert!(found.is_empty());
    }

    #[test]
    fn what_was_written_is_read_up_to_where_it_was_cut(names: Vec<String>, cut: prop::sample::Index) {
        let sent: Vec<_> = names.iter().map(|name| arrived(name)).collect();
        let mut bytes = Vec::new();
        for message in &sent {
            runtime().block_on(write(&mut bytes, message)).unwrap();
        }
        prop_assert_eq!(messages(&bytes, 1 << 20), (sent.clone(), true));
        let end = cut.index(bytes.len() + 1);
        let whole = bytes[..end].iter().filter(|&&byte| byte == b'\n').count();
        prop_assert_eq!(messages(&bytes[..end], 1 << 20), (sent[..whole].to_vec(), true));
    }
}

#[test]
fn a_message_without_end_is_not_kept() {
    let endless = vec![b' '; 5_000];
    assert_eq!(messages(&endless, 100), (Vec::new(), false));
}

#[tokio::test]
async fn a_worker_that_talks_nonsense_fails_the_run() {
    let (link, mut port) = crate::run::pair();
    let nonsense = BufReader::new(&b"{\"say\":\"arrived\",\"at\":\"setup\"}\n{\"say\":\"moo\"}\n"[..]);
    let carrying = tokio::spawn(controller_side(nonsense, tokio::io::sink(), link));
    assert_eq!(port.from.recv().await, Some(arrived("setup")));
    assert!(matches!(port.from.recv().await, Some(FromWorker::Failed { .. })));
    assert_eq!(port.from.recv().await, None);
    carrying.await.unwrap();
}

/// How a worker's side ends that hears these messages, and then the end of the stream.
async fn heard(messages: &[ToWorker]) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    for message in messages {
        write(&mut bytes, message).await.unwrap();
    }
    let (_link, port) = crate::run::pair();
    worker_side(BufReader::new(&bytes[..]), tokio::io::sink(), port).await
}

#[tokio::test]
async fn a_controller_that_goes_without_a_word_is_missed() {
    assert_eq!(heard(&[ToWorker::Time, ToWorker::Stop]).await, Ok(()));
    for messages in [&[][..], &[ToWorker::Time]] {
        let failure = heard(messages).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "the controller: it is gone, and the run was not over"
        );
        assert_eq!(failure.exit_code(), 3);
    }
}
