use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::*;
use crate::http::server::{accept, bind};
use crate::http::waiting_room::{Waiting, waiting_room};
use crate::turnstile::Turnstile;

/// How many may wait.
const ROOM: usize = 3;

/// A socket at which clients connect, and behind which nobody is let out of the waiting room yet.
struct Crowded {
    address: SocketAddr,
    served: Arc<Served>,
    waiting: Waiting<Newcomer>,
}

impl Crowded {
    async fn start() -> Self {
        let router = Router::new()
            .route("/live", get(|| async { "alive" }))
            .route("/clients", get(|| async { "welcome" }));
        let served = Arc::new(Served {
            service: Service {
                router,
                tls: None,
                clients: Some("/clients".to_owned()),
            },
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.address();
        let (door, waiting) = waiting_room(ROOM);
        let reception = Reception::new(Arc::clone(&served), door);
        let stop = served.stop.clone();
        served
            .tasks
            .spawn(async move { accept(bound.listener, reception, &stop).await });
        Self {
            address,
            served,
            waiting,
        }
    }

    /// Fills the waiting room. What its clients are answered comes through the receiver.
    async fn fill(&self) -> mpsc::Receiver<String> {
        let (answers, mut answered) = mpsc::channel(ROOM + 1);
        for _ in 0..=ROOM {
            let (answers, address) = (answers.clone(), self.address);
            tokio::spawn(async move { answers.send(ask(address, "/clients").await).await });
        }
        // As soon as one is turned away all others wait.
        assert_eq!(answered.recv().await.unwrap(), "");
        answered
    }

    /// Lets everybody out of the room, who must be as many as it holds, and ends.
    async fn empty(self, mut answered: mpsc::Receiver<String>) {
        let (served, waiting) = (Arc::clone(&self.served), self.waiting);
        let serving = tokio::spawn(async move {
            let begin = |newcomer| served.begin(newcomer);
            waiting.serve(&Turnstile::new(), begin).await;
        });
        for _ in 0..ROOM {
            let welcome = answered.recv().await.unwrap();
            assert!(welcome.ends_with("welcome"), "{welcome}");
        }
        self.served.stop.cancel();
        self.served.tasks.close();
        self.served.tasks.wait().await;
        serving.await.unwrap();
    }
}

/// What is answered; nothing to whom is turned away.
async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    // Closed unread, it may break while the request is being sent, and before or after the end has been seen.
    if stream.write_all(request.as_bytes()).await.is_ok() {
        let _ = stream.read_to_string(&mut answer).await;
    }
    answer
}

#[tokio::test]
async fn a_probe_does_not_wait_behind_clients_although_the_room_is_full() {
    let crowded = Crowded::start().await;
    let mut answered = crowded.fill().await;
    // Were it to wait like them, it would for ever.
    let alive = ask(crowded.address, "/live").await;
    assert!(alive.ends_with("alive"), "{alive}");
    assert!(answered.try_recv().is_err(), "nobody is served yet");
    crowded.empty(answered).await;
}

#[tokio::test]
async fn who_says_nothing_takes_no_room_from_others() {
    let crowded = Crowded::start().await;
    let mut silent = Vec::new();
    for _ in 0..2 * ROOM {
        silent.push(TcpStream::connect(crowded.address).await.unwrap());
    }
    let answered = crowded.fill().await;
    crowded.empty(answered).await;
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
}
